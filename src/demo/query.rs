//! A small reading of arXiv's query language: enough for everything that the program sends.
//!
//! ```text
//! query   = operand { ("AND" | "OR" | "ANDNOT") operand }       grouped from the right, as arXiv does
//! operand = "(" query ")" | field ":" value
//! value   = "\"" words "\"" | "[" minute " TO " minute "]" | word | word "*"
//! ```
//!
//! arXiv repairs what it does not understand and refuses the rest; here everything outside this grammar is refused,
//! because the program never relies on the repair. Titles and abstracts are compared by stems, names without
//! accents, everything in any case.

use chrono::{DateTime, NaiveDateTime, Utc};
use rust_stemmers::{Algorithm, Stemmer};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::sample::Entry;

/// The longest query, in bytes: arXiv takes no longer request line.
const QUERY_BYTES_MAX: usize = 4_094;
/// How deeply parentheses may be nested.
const DEPTH_MAX: usize = 40;

/// A query that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Query {
    And(Box<Query>, Box<Query>),
    Or(Box<Query>, Box<Query>),
    AndNot(Box<Query>, Box<Query>),
    /// These words in this order.
    Words(Field, Vec<String>),
    /// A word that begins so.
    Prefix(Field, String),
    /// A category, or with a trailing `*` all that begin so.
    Category(String),
    /// Submitted from the first minute to the last one, both included.
    Submitted(DateTime<Utc>, DateTime<Utc>),
}

/// Where words are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Title,
    Abstract,
    Authors,
    Comment,
    JournalRef,
    All,
}

/// A query that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid query string: '{0}'")]
pub(super) struct QueryError(String);

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// If it is not of the grammar above, longer than arXiv takes, or nested too deeply.
    pub(super) fn parse(text: &str) -> Result<Self, QueryError> {
        let mut reader = Reader { rest: text };
        let query = if text.len() > QUERY_BYTES_MAX {
            None
        } else {
            reader.query(0)
        };
        query
            .filter(|_| reader.rest.trim().is_empty())
            .ok_or_else(|| QueryError(text.to_owned()))
    }

    /// Whether a paper is found.
    pub(super) fn finds(&self, entry: &Entry) -> bool {
        match self {
            Self::And(left, right) => left.finds(entry) && right.finds(entry),
            Self::Or(left, right) => left.finds(entry) || right.finds(entry),
            Self::AndNot(left, right) => left.finds(entry) && !right.finds(entry),
            Self::Words(field, words) => field.any(entry, |text| {
                let words: Vec<String> = words.iter().map(|word| field.index(word)).collect();
                text.windows(words.len()).any(|part| part == words)
            }),
            // A wildcard is compared with the index, which holds stems, and is not stemmed itself.
            Self::Prefix(field, head) => {
                field.any(entry, |text| text.iter().any(|word| word.starts_with(head.as_str())))
            }
            Self::Category(pattern) => entry.categories.iter().any(|category| match pattern.strip_suffix('*') {
                Some(head) => category.starts_with(head),
                None => category == pattern,
            }),
            Self::Submitted(from, to) => (*from..=*to).contains(&entry.submitted),
        }
    }
}

impl Field {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "ti" => Self::Title,
            "abs" => Self::Abstract,
            "au" => Self::Authors,
            "co" => Self::Comment,
            "jr" => Self::JournalRef,
            "all" => Self::All,
            _ => return None,
        })
    }

    /// Whether one of the field's texts, as indexed words, is as wanted.
    fn any(self, entry: &Entry, is_wanted: impl Fn(&[String]) -> bool) -> bool {
        let optional = |text: &Option<String>| text.iter().cloned().collect();
        let texts: Vec<String> = match self {
            Self::Title => vec![entry.title.clone()],
            Self::Abstract => vec![entry.abstract_text.clone()],
            Self::Authors => entry.authors.clone(),
            Self::Comment => optional(&entry.comment),
            Self::JournalRef => optional(&entry.journal_ref),
            Self::All => {
                let mut all = entry.authors.clone();
                all.extend([entry.title.clone(), entry.abstract_text.clone()]);
                all.extend(
                    entry
                        .comment
                        .iter()
                        .chain(&entry.journal_ref)
                        .chain(&entry.categories)
                        .cloned(),
                );
                all
            }
        };
        texts.iter().any(|text| {
            let words: Vec<String> = words(text).iter().map(|word| self.index(word)).collect();
            is_wanted(&words)
        })
    }

    /// A word as the index of this field holds it.
    fn index(self, word: &str) -> String {
        match self {
            Self::Title | Self::Abstract | Self::All => Stemmer::create(Algorithm::English).stem(word).into_owned(),
            Self::Authors => word.nfd().filter(|c| !is_combining_mark(*c)).collect(),
            Self::Comment | Self::JournalRef => word.to_owned(),
        }
    }
}

/// The words of a text in small letters: what stands between signs and blanks.
fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && !is_combining_mark(c));
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// What is left to read.
struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn query(&mut self, depth: usize) -> Option<Query> {
        type Join = fn(Box<Query>, Box<Query>) -> Query;
        let mut joined: Vec<(Query, Join)> = Vec::new();
        loop {
            let operand = self.operand(depth)?;
            let join: Join = if self.takes(" ANDNOT ") {
                Query::AndNot
            } else if self.takes(" AND ") {
                Query::And
            } else if self.takes(" OR ") {
                Query::Or
            } else {
                let right = |right: Query, (left, join): (Query, Join)| join(Box::new(left), Box::new(right));
                return Some(joined.into_iter().rev().fold(operand, right));
            };
            joined.push((operand, join));
        }
    }

    fn operand(&mut self, depth: usize) -> Option<Query> {
        self.rest = self.rest.trim_start();
        if self.takes("(") {
            let query = if depth < DEPTH_MAX {
                self.query(depth + 1)?
            } else {
                return None;
            };
            self.rest = self.rest.trim_start();
            return self.takes(")").then_some(query);
        }
        let name = self.until(|c| !c.is_ascii_alphabetic());
        if !self.takes(":") {
            return None;
        }
        match name {
            "submittedDate" => self.range(),
            "cat" => {
                let pattern = self.value()?;
                Some(Query::Category(pattern.to_owned()))
            }
            _ => {
                let field = Field::of(name)?;
                let is_quoted = self.rest.starts_with('"');
                let value = self.value()?;
                match value.strip_suffix('*') {
                    Some(head) if !is_quoted => (!head.is_empty()).then(|| Query::Prefix(field, head.to_lowercase())),
                    _ => Some(words(value))
                        .filter(|words| !words.is_empty())
                        .map(|words| Query::Words(field, words)),
                }
            }
        }
    }

    /// A quoted phrase, or one word.
    fn value(&mut self) -> Option<&'t str> {
        let value = if self.takes("\"") {
            let value = self.until(|c| c == '"');
            self.takes("\"").then_some(value)?
        } else {
            self.until(|c| c.is_whitespace() || "()\"".contains(c))
        };
        (!value.is_empty()).then_some(value)
    }

    fn range(&mut self) -> Option<Query> {
        let minute = |text: &str| {
            NaiveDateTime::parse_from_str(text, "%Y%m%d%H%M")
                .ok()
                .filter(|_| text.len() == 12)
                .map(|at| at.and_utc())
        };
        self.takes("[").then_some(())?;
        let range = self.until(|c| c == ']');
        self.takes("]").then_some(())?;
        let (from, to) = range.split_once(" TO ")?;
        Some(Query::Submitted(minute(from)?, minute(to)?))
    }

    fn takes(&mut self, word: &str) -> bool {
        let rest = self.rest.strip_prefix(word);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn until(&mut self, is_end: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::sample;

    /// The last three digits of the identifiers that a query finds among all bundled papers.
    fn check(query: &str, expected: &[&str]) {
        let query = Query::parse(query).unwrap();
        let found: Vec<String> = sample::papers()
            .iter()
            .filter(|paper| query.finds(&paper.entry))
            .map(|paper| paper.entry.id.trim_start_matches("2602.90").to_owned())
            .collect();
        assert_eq!(found, expected, "{query:?}");
    }

    #[test]
    fn words_are_found_by_field_stem_and_order() {
        check(r#"ti:"dark matter""#, &["021", "102", "204", "305", "404"]);
        check(r#"ti:"matter dark""#, &[]);
        check(
            r#"(ti:"graph neural networks" OR abs:"graph neural networks")"#,
            &["032", "202", "303", "402", "403"],
        );
        check(r#"ti:"Gravitational-Wave""#, &["205", "307", "410"]);
        check("ti:nas", &["201"]);
        check("abs:nas", &["201", "208"]);
        check("ti:schrod*", &[]);
        check("ti:schröd*", &["203", "308", "407"]);
        check(r#"ti:"Schrodinger""#, &[]);
        check(r#"ti:"المخطوطات""#, &["303"]);
    }

    #[test]
    fn the_other_fields_are_searched_too() {
        check(r#"au:"Lukasz Bartoszynski" OR au:"苏远舟""#, &["306"]);
        check(r#"au:"Noor Haddadin" OR au:"N Haddadin""#, &["106", "307", "405"]);
        check(r#"au:"Eloise Grandmaitre""#, &["203"]);
        check(r#"co:"ICLR""#, &["201"]);
        check(r#"jr:"Invented J""#, &["306"]);
        check(r#"all:"LUMEN Collaboration""#, &["204"]);
        check("cat:math.NA OR cat:econ.*", &["105", "308", "409"]);
        check("cat:math", &[]);
    }

    #[test]
    fn operators_group_from_the_right() {
        check(r#"ti:protein AND abs:GPU OR abs:"consumer""#, &["202", "306"]);
        check(r#"(ti:protein AND abs:GPU) OR ti:"requiem""#, &["202", "306", "404"]);
        check(
            r#"ti:"dark matter" ANDNOT abs:"3.5 keV" "#,
            &["021", "102", "204", "305"],
        );
        check(r#"ti:requiem AND ti:protein OR ti:dark"#, &["404"]);
        check(r#"((ti:"robot"))"#, &["309"]);
    }

    #[test]
    fn a_window_is_one_of_submission_and_includes_both_ends() {
        check("submittedDate:[202602012210 TO 202602012211]", &["301"]);
        check("submittedDate:[202602081802 TO 202602082140]", &["102", "103"]);
        check(
            r#"((ti:"random graph" OR abs:"random graph") AND submittedDate:[202602081802 TO 202602110000])"#,
            &["103"],
        );
    }

    #[test]
    fn what_is_not_of_the_grammar_is_refused() {
        for text in [
            "",
            "(",
            "ti:",
            r#"ti:"""#,
            "ti:a ti:b",
            "ti:a AND",
            "(ti:a",
            "ti:a)",
            "a",
            "xx:a",
            r#"ti:"a"#,
            "ti:*",
            "AND ti:a",
            "ti:a and ti:b",
            "submittedDate:[20260201 TO 20260202]",
            "submittedDate:[* TO 202602020000]",
        ] {
            assert_eq!(Query::parse(text), Err(QueryError(text.to_owned())));
        }
        let nested = |depth| format!("{}ti:a{}", "(".repeat(depth), ")".repeat(depth));
        assert!(Query::parse(&nested(DEPTH_MAX)).is_ok());
        assert!(Query::parse(&nested(DEPTH_MAX + 1)).is_err());
        assert!(Query::parse(&format!("ti:\"{}\"", "a ".repeat(QUERY_BYTES_MAX / 2))).is_err());
    }
}
