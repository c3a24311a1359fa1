use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{TSigVerifier, rdata::tsig::TsigError};

use super::request::Request;

/// Why what came is not taken for the server's answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    /// It cannot be read.
    #[error("what came is no DNS answer: {0}")]
    Garbage(hickory_proto::ProtoError),
    /// Another id, another question.
    #[error("what came answers another request")]
    Foreign,
    /// It says itself that something is missing.
    #[error("the answer is cut off")]
    Truncated,
    /// Anybody can have made it; this is what it says.
    #[error("the answer is not signed, and says {0}")]
    Unsigned(ResponseCode),
    /// It does not come from who has the key, or not now.
    #[error("the answer's signature does not hold: {0}")]
    Forged(hickory_proto::ProtoError),
    /// The server does not take the request's signature.
    #[error(transparent)]
    Key(#[from] KeyRefusal),
}

/// Why a server does not take a signature (RFC 8945, section 5.2). Without a key that both know it cannot sign that.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyRefusal {
    /// BADKEY; from Knot also when the key exists and nothing is granted to it.
    #[error(
        "the server does not know it, or grants it nothing there (BADKEY); name and algorithm must be as on the server"
    )]
    Unknown,
    /// BADSIG.
    #[error("the server's key of that name has another secret (BADSIG); put that into secret_file")]
    Secret,
    /// BADTIME, and by how many seconds this machine is ahead.
    #[error("{} (BADTIME); set the clock that is wrong", apart(*.0))]
    Clock(i64),
    /// Something else.
    #[error("TSIG error {0}")]
    Other(u16),
}

fn apart(ahead_s: i64) -> String {
    let (by, which) = (ahead_s.unsigned_abs(), if ahead_s < 0 { "behind" } else { "ahead of" });
    format!("this machine's clock is {by} s {which} the server's")
}

/// The answer in these bytes, if it is to this request, whole, and signed by who has the key.
pub(super) fn read(request: Request, bytes: &[u8]) -> Result<Message, AnswerError> {
    let Request { id, op_code, query, mut verifier, .. } = request;
    let answer = Message::from_vec(bytes).map_err(|error| AnswerError::Garbage(error.into()))?;
    let head = &answer.metadata;
    if head.message_type != MessageType::Response || (head.id, head.op_code) != (id, op_code) {
        return Err(AnswerError::Foreign);
    }
    judge_signature(&answer, bytes, &mut verifier)?;
    // An answer to an update need not repeat the zone.
    let of_this = answer.queries == [query] || (answer.queries.is_empty() && op_code == OpCode::Update);
    if !of_this {
        return Err(AnswerError::Foreign);
    }
    if head.truncation {
        return Err(AnswerError::Truncated);
    }
    Ok(answer)
}

fn judge_signature(answer: &Message, bytes: &[u8], verifier: &mut TSigVerifier) -> Result<(), AnswerError> {
    let Some(signature) = &answer.signature else {
        return Err(AnswerError::Unsigned(answer.metadata.response_code));
    };
    let tsig = &signature.data;
    if tsig.error.is_some() && answer.metadata.response_code != ResponseCode::NotAuth {
        return Err(AnswerError::Forged("it names an error of the signature, and is no NOTAUTH".into()));
    }
    match tsig.error {
        Some(TsigError::BadKey) => return Err(KeyRefusal::Unknown.into()),
        Some(TsigError::BadSig) => return Err(KeyRefusal::Secret.into()),
        Some(TsigError::BadTrunc) => return Err(KeyRefusal::Other(22).into()),
        Some(TsigError::Unknown(code)) => return Err(KeyRefusal::Other(code).into()),
        Some(TsigError::BadTime) | None => {}
    }
    // The library subtracts one from the other.
    if tsig.time < u64::from(tsig.fudge) {
        return Err(AnswerError::Forged("signed before 1970".into()));
    }
    verifier.verify(bytes).map_err(AnswerError::Forged)?;
    if tsig.error.is_none() {
        return Ok(());
    }
    // The time of the server, in six bytes, stands beside that of the request.
    let mut theirs = [0; 8];
    let (_, six) = theirs.split_at_mut(2);
    if tsig.other.len() != six.len() {
        return Err(KeyRefusal::Other(18).into());
    }
    six.copy_from_slice(&tsig.other);
    let theirs = u64::from_be_bytes(theirs);
    Err(KeyRefusal::Clock(tsig.time.cast_signed() - theirs.cast_signed()).into())
}
