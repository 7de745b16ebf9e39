//! What can be wrong with a term, in words for the person who wrote it.

use unicode_width::UnicodeWidthStr as _;

/// A term that cannot be used, with the place of the fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{fault}", self.at.map_or_else(String::new, |_| format!("column {}: ", self.column())))]
pub struct QueryError {
    text: String,
    /// `None` if the whole term is at fault.
    at: Option<usize>,
    fault: Fault,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is nothing.
    #[error("it is empty; write what to look for")]
    Blank,
    /// Only punctuation.
    #[error("it holds no letter or digit to look for")]
    NothingToFind,
    /// Beyond the bound.
    #[error("it is longer than {bytes_max} bytes; divide it")]
    TooLong {
        /// The bound.
        bytes_max: usize,
    },
    /// Something else was expected.
    #[error("expected {what}, found {}", found.as_ref().map_or_else(|| "the end".to_owned(), |found| format!("`{found}`")))]
    Expected {
        /// What would fit.
        what: &'static str,
        /// What stands there; `None` at the end.
        found: Option<String>,
    },
    /// Two words without an operator between them.
    #[error("expected {what}; put words that belong together in quotes, or AND or OR between them")]
    SideBySide {
        /// What would fit.
        what: &'static str,
    },
    /// `and` for `AND`.
    #[error("operators are written in capitals: {operator}")]
    SmallOperator {
        /// The operator in capitals.
        operator: String,
    },
    /// `x NOT y`.
    #[error("write AND NOT to leave something out")]
    BareNot,
    /// A parenthesis is missing.
    #[error("this ( is never closed; add )")]
    OpenParenthesis,
    /// A quotation mark is missing.
    #[error("this quotation mark is never closed")]
    OpenQuote,
    /// No such field.
    #[error("there is no field {name} (fields are ti: abs: au: co: cat: jr:); in quotes it is looked for as it stands")]
    UnknownField {
        /// With its colon.
        name: String,
    },
    /// Nested too deep.
    #[error("parentheses, NOT and fields nest more than {depth_max} deep; divide the query")]
    TooDeep {
        /// The bound.
        depth_max: usize,
    },
    /// Too large.
    #[error("it has more than {leaves_max} words and phrases; divide the query")]
    TooManyLeaves {
        /// The bound.
        leaves_max: usize,
    },
    /// All terms together are too large for one automaton.
    #[error("all keywords together are too large to be compiled; remove some")]
    TooMuch,
    /// Not a distance.
    #[error("NEAR needs a number of words between 1 and {words_max}, as in NEAR/5")]
    Distance {
        /// The bound.
        words_max: u8,
    },
    /// NEAR beside something that has no place in a text.
    #[error("NEAR joins words and phrases, or several of them joined by OR in parentheses")]
    NearSide,
    /// Too few letters before the star.
    #[error("a * needs at least {letters_min} letters before it; in quotes it is looked for as it stands")]
    ShortPrefix {
        /// The bound.
        letters_min: usize,
    },
    /// A star elsewhere.
    #[error("a * stands only at the end of a word; in quotes it is looked for as it stands")]
    InnerWildcard,
    /// `=word*`.
    #[error("= asks for exactly one spelling and * for several; choose one")]
    ExactPrefix,
    /// `=` or `*` beside a name or category.
    #[error("= and * are for words of title, abstract, comment and journal reference")]
    OnlyForWords,
    /// Not a category.
    #[error("{pattern:?} is not the form of a category (like cs.LG, cs.* or hep-th)")]
    Category {
        /// As written.
        pattern: String,
    },
    /// Would fit nearly every paper.
    #[error("it would only exclude; say also what to look for, on each side of every OR")]
    OnlyExclusions,
}

impl QueryError {
    pub(crate) fn new(text: &str, at: usize, fault: Fault) -> Self {
        Self {
            text: text.to_owned(),
            at: Some(text.floor_char_boundary(at)),
            fault,
        }
    }

    /// A fault of the term as a whole.
    pub(crate) fn whole(text: &str, fault: Fault) -> Self {
        Self {
            text: text.to_owned(),
            at: None,
            fault,
        }
    }

    /// What is wrong.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// The byte of the term where the fault shows, on a character boundary.
    pub fn offset(&self) -> usize {
        self.at.unwrap_or(0)
    }

    /// The character where the fault shows, counted from 1.
    pub fn column(&self) -> usize {
        self.text[..self.offset()].chars().count() + 1
    }

    /// The term on one line and a caret under the fault on the next.
    pub fn pointer(&self) -> String {
        let line = |text: &str| -> String { text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect() };
        let before = line(&self.text[..self.offset()]);
        let indent = " ".repeat(before.width());
        format!("{before}{}\n{indent}^", line(&self.text[self.offset()..]))
    }
}
