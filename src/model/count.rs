/// A number of things, for a sentence: "1 service", "2 services".
#[must_use]
pub fn count_in_words(number: usize, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}

/// The first few of some names in a row, for a sentence, and how many more there are: "a, b, c, d, e and 7 more".
#[must_use]
pub fn first_in_words<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    const FEW: usize = 5;
    let mut names = names.into_iter();
    let first: Vec<&str> = names.by_ref().take(FEW).collect();
    let more = match names.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", first.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_names_the_first_few_are_told() {
        assert_eq!(first_in_words(["a", "b"]), "a, b");
        assert_eq!(first_in_words(["a"; 5]), "a, a, a, a, a");
        assert_eq!(first_in_words(["a"; 1_000]), "a, a, a, a, a and 995 more");
    }
}
