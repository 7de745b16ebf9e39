//! When a configured name and a paper's name are one person's.

use super::normalise::fold;

/// A name ready to be compared: words in normal form, the family name last.
///
/// `Doe, Jane` is read as `Jane Doe`; `Jr.` and the like are dropped. `J. Doe`, `Jane Doe`, `J. Q. Doe` and
/// `Jane Quimby Doe` all fit each other: given names must agree in order as far as both are written, an initial
/// agrees with every name it begins, and middle names may be missing on either side. A name that is the end
/// of the other one fits too (`Del Maestro`, `ATLAS Collaboration`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    words: Vec<String>,
}

const SUFFIXES: [&str; 5] = ["jr", "sr", "ii", "iii", "iv"];

impl Name {
    /// Reads a name; `None` if it holds no word.
    pub(crate) fn new(name: &str) -> Option<Self> {
        // Points part initials that are written together: `J.Q. Doe`.
        let name = in_reading_order(name).replace(['.', '~'], " ");
        let mut words: Vec<String> = fold(&name)
            .split(' ')
            .map(|word| word.chars().filter(|c| c.is_alphanumeric() || *c == '\'').collect())
            .filter(|word: &String| word.chars().any(char::is_alphanumeric))
            .collect();
        while words.len() > 1 && words.last().is_some_and(|last| is_name_suffix(last)) {
            words.pop();
        }
        (!words.is_empty()).then_some(Self { words })
    }

    /// The family name's last word, which fitting names share.
    pub(crate) fn family(&self) -> &str {
        // A name has at least one word.
        self.words.last().map_or("", String::as_str)
    }

    /// The words before the family name's last one.
    pub(crate) fn given(&self) -> &[String] {
        &self.words[..self.words.len() - 1]
    }

    /// Whether both can be one person's name; `self` is the configured one.
    pub(crate) fn fits(&self, other: &Self) -> bool {
        if other.words.ends_with(&self.words) {
            return true;
        }
        if self.family() != other.family() {
            return false;
        }
        match (self.given(), other.given()) {
            ([first, middle @ ..], [other_first, other_middle @ ..]) => {
                agree(first, other_first) && (follows(middle, other_middle) || follows(other_middle, middle))
            }
            _ => false,
        }
    }
}

/// A name without commas: `Doe, Jane` as `Jane Doe`.
pub(crate) fn in_reading_order(name: &str) -> String {
    match name.split_once(',') {
        Some((family, given)) if !is_name_suffix(given) => format!("{given} {family}").replace(',', " "),
        _ => name.replace(',', " "),
    }
}

/// Whether a word is `Jr.` or the like.
pub(crate) fn is_name_suffix(word: &str) -> bool {
    SUFFIXES.contains(&fold(word).trim_end_matches('.'))
}

/// Equal, or one is the other's initial.
fn agree(one: &str, other: &str) -> bool {
    let is_initial = |short: &str, long: &str| short.chars().count() == 1 && long.starts_with(short);
    one == other || is_initial(one, other) || is_initial(other, one)
}

/// Whether the words of `some` occur among `all` in order.
fn follows(some: &[String], all: &[String]) -> bool {
    let mut all = all.iter();
    some.iter().all(|word| all.any(|other| agree(word, other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_as_far_as_both_are_written() {
        let check = |configured: &str, paper: &str, expected: bool| {
            let fits = Name::new(configured).unwrap().fits(&Name::new(paper).unwrap());
            assert_eq!(fits, expected, "{configured:?} and {paper:?}");
        };
        for same in [
            "Jane Doe",
            "J. Doe",
            "JANE DOE",
            "Jane Q. Doe",
            "J.Q. Doe",
            "J Quimby Doe",
            "Jane Döe",
            "Jane Doe, Jr.",
        ] {
            check("Jane Doe", same, true);
        }
        for other in ["John Doe", "K. Doe", "Jane Roe", "Doe", "Jane Doe-Roe", "Q. Jane Doe"] {
            check("Jane Doe", other, false);
        }
        check("Doe, Jane", "Jane Doe", true);
        check("J. Doe", "John Doe", true);
        check("Jane Q. Doe", "Jane Doe", true);
        check("Jane Q. Doe", "Jane R. Doe", false);
        check("Doe", "Jane Doe", true);
        check("Del Maestro", "Adrian Del Maestro", true);
        check("Jean-Luc Example", "J.-L. Example", true);
        check("José Núñez", "Jose Nunez", true);
        check("ATLAS Collaboration", "The ATLAS Collaboration", true);
        check("O'Neil", "Ann O’Neil", true);
    }

    #[test]
    fn a_name_needs_a_word() {
        assert_eq!(Name::new(" ., "), None);
        assert_eq!(Name::new(""), None);
    }
}
