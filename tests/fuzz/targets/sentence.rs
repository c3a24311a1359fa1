//! What holds for every sentence that pointsman makes of somebody else's bytes, since it goes to terminals, logs, the
//! journal and the API: it is short, on one line, and no secret is in it (SECRETS-STAY).

/// In bytes: room for a few ids and a whole message of the cloud; not for an answer.
const LONGEST: usize = 2_500;

/// So many characters of a secret in a row are looked for, one after the other: twice as many are surely found.
const TELLING: usize = 12;

pub(super) fn assert_good(sentence: &str) {
    let length = sentence.len();
    assert!(length <= LONGEST, "a sentence of {length} bytes: {sentence:.300}…");
    let control = sentence.chars().find(|c| c.is_control());
    assert!(control.is_none(), "{control:?} in {sentence:?}");
}

/// No telling part of the secret is in it, unless the fuzzer itself has found that part.
pub(super) fn assert_lacks(sentence: &str, secret: &str, input: &[u8]) {
    let parts = (0..=secret.len() - TELLING).step_by(TELLING).map(|at| &secret[at..at + TELLING]);
    let told = parts.into_iter().find(|part| sentence.contains(part) && !contains(input, part.as_bytes()));
    assert!(told.is_none(), "{told:?} of a secret in {sentence:?}");
}

pub(super) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
