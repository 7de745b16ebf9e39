//! When a configured name and a paper's name are one person's.

use super::normalise::fold;

/// A name ready to be compared.
///
/// `Doe, Jane` is read as `Jane Doe`; `Jr.` and the like and a leading `The` are dropped. `J. Doe`, `Jane Doe`,
/// `J. Q. Doe` and `Jane Quimby Doe` all fit each other: given names must agree in order as far as both are
/// written, an initial agrees with every name it begins, and middle names may be missing on either side. A
/// family name alone fits everyone of that name (`Doe`, `Del Maestro`). Hyphens tie: `Wei Roe` is neither
/// `Wei-Lin Roe` nor `Wei Doe-Roe`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// The words in normal form, the family name's last one at the end; each in the parts that hyphens tie.
    words: Vec<Vec<String>>,
}

const SUFFIXES: [&str; 5] = ["jr", "sr", "ii", "iii", "iv"];

/// Words that begin a family name.
const PARTICLES: [&str; 22] = [
    "al", "bin", "da", "das", "de", "del", "della", "den", "der", "di", "do", "dos", "du", "el", "ibn", "la", "le",
    "ten", "ter", "van", "von", "zu",
];

impl Name {
    /// Reads a name; `None` if it holds no word.
    pub(crate) fn new(name: &str) -> Option<Self> {
        // Points part initials that are written together (`J.Q. Doe`) but not those that a hyphen ties (`J.-L. Roe`).
        let name = in_reading_order(name).replace(".-", "-").replace(['.', '~'], " ");
        let mut words: Vec<Vec<String>> = name
            .split_whitespace()
            .map(|word| {
                let letters =
                    |part: &str| -> String { part.chars().filter(|c| c.is_alphanumeric() || *c == '\'').collect() };
                let parts = fold(word).split(' ').map(letters).collect::<Vec<_>>();
                parts
                    .into_iter()
                    .filter(|part| part.chars().any(char::is_alphanumeric))
                    .collect()
            })
            .filter(|parts: &Vec<String>| !parts.is_empty())
            .collect();
        while words.len() > 1 && words.last().is_some_and(|last| is_name_suffix(&last.join(" "))) {
            words.pop();
        }
        if words.len() > 1 && words[0] == ["the"] {
            words.remove(0);
        }
        (!words.is_empty()).then_some(Self { words })
    }

    /// The last part of the family name, which fitting names share.
    pub(crate) fn family(&self) -> &str {
        // A name has a word and a word has a part.
        self.words
            .last()
            .and_then(|parts| parts.last())
            .map_or("", String::as_str)
    }

    /// Whether both can be one person's name; `self` is the configured one.
    pub(crate) fn fits(&self, other: &Self) -> bool {
        if self.is_family_only() {
            return other.words.ends_with(&self.words);
        }
        let (mine, theirs) = (self.words.concat(), other.words.concat());
        if mine.len() == theirs.len() && self.family() == other.family() {
            // Someone writes with a blank what someone else ties with a hyphen.
            return mine.iter().zip(&theirs).all(|(one, other)| part_agrees(one, other));
        }
        match (self.words.as_slice(), other.words.as_slice()) {
            ([first, middle @ .., family], [other_first, other_middle @ .., other_family]) => {
                family == other_family
                    && word_agrees(first, other_first)
                    && (follows(middle, other_middle) || follows(other_middle, middle))
            }
            _ => false,
        }
    }

    fn is_family_only(&self) -> bool {
        self.words[..self.words.len() - 1]
            .iter()
            .all(|word| matches!(word.as_slice(), [part] if PARTICLES.contains(&part.as_str())))
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
fn part_agrees(one: &str, other: &str) -> bool {
    let is_initial = |short: &str, long: &str| short.chars().count() == 1 && long.starts_with(short);
    one == other || is_initial(one, other) || is_initial(other, one)
}

/// Part by part; a single initial stands for a whole word, hyphens or not.
fn word_agrees(one: &[String], other: &[String]) -> bool {
    match (one, other) {
        ([initial], [first, ..]) | ([first, ..], [initial]) if initial.chars().count() == 1 => {
            first.starts_with(initial.as_str())
        }
        _ => one.len() == other.len() && one.iter().zip(other).all(|(one, other)| part_agrees(one, other)),
    }
}

/// Whether the words of `some` occur among `all` in order.
fn follows(some: &[Vec<String>], all: &[Vec<String>]) -> bool {
    let mut all = all.iter();
    some.iter().all(|word| all.any(|other| word_agrees(word, other)))
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
        check("Jean-Luc Example", "J. Example", true);
        check("Jean-Luc Example", "Jean Luc Example", true);
        check("Jean-Luc Example", "J.L. Example", true);
        check("Wei Roe", "Wei-Lin Roe", false);
        check("Wei Roe", "Xiao-wei Roe", false);
        check("Wei Roe", "Xiao Wei Roe", false);
        check("Wei Roe", "Wei Doe-Roe", false);
        check("Roe", "Doe-Roe", false);
        check("van der Roe", "Ana van der Roe", true);
        check("Ana van der Roe", "A. van der Roe", true);
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
