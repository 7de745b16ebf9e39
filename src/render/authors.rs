//! The line of authors.

use super::{
    clean::{clip, isolate},
    words::thousands,
};
use crate::model::Author;

/// The longest name that is shown whole.
const NAME_CHARS_MAX: usize = 80;
/// The most authors that are ever named, whatever the configuration says.
const NAMED_MAX: usize = 60;

/// The authors in one line: at most `named_max` of them, then "and 2,990 more"; never "and 1 more", which would take
/// as much room as the name.
///
/// A collaboration and the colon that arXiv gives as an author of its own become "The Example Collaboration: A. Bee".
pub(super) fn line(authors: &[Author], named_max: usize) -> String {
    let named_max = named_max.clamp(1, NAMED_MAX);
    let mut named: Vec<(&str, bool)> = Vec::new();
    let mut n_names = 0;
    for author in authors {
        let name = author.name.trim();
        let has_colon = name.ends_with(':');
        // What holds no letter or digit is no name.
        if name.chars().any(char::is_alphanumeric) {
            n_names += 1;
            // One more than asked for: it stands in the place of "and 1 more".
            if n_names <= named_max + 1 {
                named.push((name, has_colon));
            }
        } else if has_colon
            && n_names == named.len()
            && let Some(last) = named.last_mut()
        {
            last.1 = true;
        }
    }
    if n_names > named_max + 1 {
        named.truncate(named_max);
    }
    let mut out = String::new();
    for (index, (name, is_collaboration)) in named.iter().enumerate() {
        let name = clip(name, NAME_CHARS_MAX);
        out.push_str(&isolate(name.trim_end_matches([':', ' ']).to_owned()));
        let is_last = index + 1 == named.len();
        match (is_collaboration, is_last) {
            (true, false) => out.push_str(": "),
            (false, false) => out.push_str(", "),
            (_, true) => {}
        }
    }
    let n_more = n_names - named.len();
    if n_more > 0 {
        out.push_str(&format!(" and\u{a0}{}\u{a0}more", thousands(n_more)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &[&str], named_max: usize, expected: &str) {
        let authors: Vec<Author> = names.iter().map(|name| Author::named(*name)).collect();
        assert_eq!(line(&authors, named_max).replace('\u{a0}', " "), expected);
    }

    #[test]
    fn authors_are_named_up_to_a_limit_and_the_rest_counted() {
        check(&[], 6, "");
        check(&["A. Bee"], 6, "A. Bee");
        check(&["A", "B", "C"], 2, "A, B, C");
        check(&["A", "B", "C", "D"], 2, "A, B and 2 more");
        check(&["A", "B"], 0, "A, B");
        let many: Vec<String> = (0..3_000).map(|n| format!("Author {n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        check(
            &many,
            6,
            "Author 0, Author 1, Author 2, Author 3, Author 4, Author 5 and 2,994 more",
        );
    }

    #[test]
    fn a_collaboration_is_no_author_and_a_colon_neither() {
        check(
            &["The Example Collaboration", ":", "A. Bee"],
            6,
            "The Example Collaboration: A. Bee",
        );
        check(
            &["The Example Collaboration:", "A. Bee", " "],
            6,
            "The Example Collaboration: A. Bee",
        );
        check(&[":", "The Example Collaboration", ":"], 6, "The Example Collaboration");
    }

    #[test]
    fn names_that_run_from_right_to_left_are_isolated() {
        check(&["ليلى مثال", "Bo Example"], 6, "\u{2068}ليلى مثال\u{2069}, Bo Example");
    }
}
