/// Somebody else's words, fit to be shown to a person: on one line, without what moves a terminal's cursor, changes its
/// colours or the order in which text reads, and with at most `most` characters before they are cut.
#[must_use]
pub fn quoted(text: &str, most: usize) -> String {
    let mut quoted = String::with_capacity(text.len().min(most));
    let mut characters = 0;
    for word in text.split_whitespace() {
        let space = if quoted.is_empty() { None } else { Some(' ') };
        for character in space.into_iter().chain(word.chars()) {
            if characters == most {
                quoted.push('…');
                return quoted;
            }
            quoted.push(if is_plain(character) { character } else { char::REPLACEMENT_CHARACTER });
            characters += 1;
        }
    }
    quoted
}

/// Neither a control character nor one that reorders the text around it or hides in it.
fn is_plain(character: char) -> bool {
    let steers = matches!(character,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !character.is_control() && !steers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_others_stay_on_one_line_and_steer_no_terminal() {
        assert_eq!(quoted(" a\n\tb\r\nc ", 9), "a b c");
        assert_eq!(quoted("\u{1b}[31mred\u{7}\u{9b}2J", 99), "\u{fffd}[31mred\u{fffd}\u{fffd}2J");
        assert_eq!(quoted("up\u{202e}nwod\u{2066}\u{200b}", 99), "up\u{fffd}nwod\u{fffd}\u{fffd}");
        assert_eq!(quoted("a\u{85}b\u{2028}c", 99), "a b c");
        assert_eq!(quoted("schön 网", 99), "schön 网");
    }

    #[test]
    fn words_of_others_are_cut_on_a_character() {
        assert_eq!(quoted(&"é".repeat(9), 9), "é".repeat(9));
        assert_eq!(quoted(&"é".repeat(10), 9), "é".repeat(9) + "…");
        assert_eq!(quoted("a b", 1), "a…");
        assert_eq!(quoted("\n \n", 0), "");
    }
}
