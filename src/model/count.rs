/// A number of things, for a sentence: "1 service", "2 services".
#[must_use]
pub fn count_in_words(number: usize, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}
