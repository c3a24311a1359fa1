//! Who signed a request, and the signatures of what is answered (TSIG, RFC 8945).
//!
//! A truncated MAC cannot be verified by the library and counts as a bad one. Start at [`judge`].

use hickory_proto::ProtoError;
use hickory_proto::op::Message;
use hickory_proto::rr::rdata::TSIG;
use hickory_proto::rr::rdata::tsig::{TsigAlgorithm, TsigError, make_tsig_record, signed_bitmessage_to_buf};
use hickory_proto::rr::{Name, TSigner};

use crate::dns::tsig::Signer;

/// What a request's signature is worth.
#[derive(Clone)]
pub(super) enum Signature {
    /// There is none.
    None,
    /// By a key of ours, and in time; the answers are signed with it too.
    Good(Chain),
    /// Not good; the answer says why, and nothing is granted.
    Bad(Refusal),
}

/// Signs the answers to one request, each after the one before (RFC 8945, 5.3.1).
#[derive(Clone)]
pub(super) struct Chain {
    key: TSigner,
    /// The MAC of the request, and then of the answer before.
    previous: Vec<u8>,
    id: u16,
    now_s: u64,
    is_first: bool,
}

/// What an answer says of a signature that was not good.
#[derive(Clone)]
pub(super) enum Refusal {
    /// The key is not known, or its MAC is not right: said without a signature (RFC 8945, 5.2.1 and 5.2.2).
    Unsigned { key: Name, algorithm: TsigAlgorithm, id: u16, now_s: u64, error: TsigError },
    /// The clocks are too far apart: said under a signature, with our time (RFC 8945, 5.2.3).
    BadTime { chain: Chain, their_time_s: u64 },
}

/// Judges the signature of `request`, which `bytes` was parsed to, by these keys.
pub(super) fn judge(request: &Message, bytes: &[u8], keys: &[Signer], now_s: u64) -> Signature {
    let Some(record) = request.signature() else { return Signature::None };
    let signature = &record.data;
    let refusal = |error| {
        Signature::Bad(Refusal::Unsigned {
            key: record.name.clone(),
            algorithm: signature.algorithm.clone(),
            id: request.metadata.id,
            now_s,
            error,
        })
    };
    let known = keys
        .iter()
        .map(Signer::get)
        .find(|key| *key.signer_name() == record.name && *key.algorithm() == signature.algorithm);
    let Some(key) = known else { return refusal(TsigError::BadKey) };
    let Ok((signed, _)) = signed_bitmessage_to_buf(bytes, None, true) else {
        return refusal(TsigError::BadSig);
    };
    if key.verify(&signed, &signature.mac).is_err() {
        return refusal(TsigError::BadSig);
    }
    let chain = Chain {
        key: key.clone(),
        previous: signature.mac.clone(),
        id: request.metadata.id,
        now_s,
        is_first: true,
    };
    if now_s.abs_diff(signature.time) > u64::from(signature.fudge) {
        return Signature::Bad(Refusal::BadTime { chain, their_time_s: signature.time });
    }
    Signature::Good(chain)
}

impl Chain {
    /// The next answer, signed, as it is sent.
    ///
    /// # Errors
    /// When it does not fit into a message.
    pub(super) fn sign(&mut self, answer: &mut Message) -> Result<Vec<u8>, ProtoError> {
        let stub = self.stub(self.now_s, None, Vec::new());
        self.sign_with(answer, stub)
    }

    fn stub(&self, time_s: u64, error: Option<TsigError>, other: Vec<u8>) -> TSIG {
        let (algorithm, fudge) = (self.key.algorithm().clone(), self.key.fudge());
        TSIG::new(algorithm, time_s, fudge, Vec::new(), self.id, error, other)
    }

    fn sign_with(&mut self, answer: &mut Message, stub: TSIG) -> Result<Vec<u8>, ProtoError> {
        let unsigned = answer.to_vec()?;
        let signed = if self.is_first {
            self.key.encode_response_tbs(&self.previous, &unsigned, &stub)?
        } else {
            let length = u16::try_from(self.previous.len()).unwrap_or_default();
            let [_, _, time @ ..] = stub.time.to_be_bytes();
            let parts: [&[u8]; 5] =
                [&length.to_be_bytes(), &self.previous, &unsigned, &time, &stub.fudge.to_be_bytes()];
            parts.concat()
        };
        let mac = self.key.sign(&signed).map_err(|error| ProtoError::from(error.to_string()))?;
        self.previous.clone_from(&mac);
        self.is_first = false;
        answer.set_signature(Box::new(make_tsig_record(self.key.signer_name().clone(), stub.set_mac(mac))));
        answer.to_vec()
    }
}

impl Refusal {
    /// The answer with what is to be said of the signature, as it is sent.
    ///
    /// # Errors
    /// When it does not fit into a message.
    pub(super) fn put_into(self, answer: &mut Message) -> Result<Vec<u8>, ProtoError> {
        match self {
            Self::Unsigned { key, algorithm, id, now_s, error } => {
                let stub = TSIG::new(algorithm, now_s, 0, Vec::new(), id, Some(error), Vec::new());
                answer.set_signature(Box::new(make_tsig_record(key, stub)));
                answer.to_vec()
            }
            Self::BadTime { mut chain, their_time_s } => {
                let [_, _, ours @ ..] = chain.now_s.to_be_bytes();
                let stub = chain.stub(their_time_s, Some(TsigError::BadTime), ours.to_vec());
                chain.sign_with(answer, stub)
            }
        }
    }
}
