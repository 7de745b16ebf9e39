//! What a term means as an expression, and what its author should know about it.

use super::{
    author::Name,
    expression::{Expression, Leaf, Scope, Spelling},
    fault::{Fault, QueryError},
    grammar,
    normalise::{fold, words},
    phrase::Phrase,
};
use crate::model::{Term, TermKind};

/// The longest phrase or name in bytes. A title has rarely more than 200.
pub const PHRASE_BYTES_MAX: usize = 500;

/// The words that arXiv's search leaves out of its index, sorted.
const STOP_WORDS: [&str; 33] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not", "of",
    "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "will", "with",
];

/// Words that stand, alone or in the plural, in more than every tenth paper on computer science of 2026, sorted.
const BROAD_WORDS: [&str; 34] = [
    "accuracy",
    "agent",
    "ai",
    "analysis",
    "approach",
    "architecture",
    "benchmark",
    "code",
    "data",
    "dataset",
    "design",
    "efficiency",
    "evaluation",
    "experiment",
    "framework",
    "generation",
    "inference",
    "information",
    "knowledge",
    "language",
    "learning",
    "llm",
    "method",
    "model",
    "optimization",
    "paper",
    "performance",
    "problem",
    "reasoning",
    "result",
    "study",
    "system",
    "task",
    "training",
];

/// Whether arXiv's search leaves a word out of its index; the word is in normal form.
pub fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.binary_search(&word).is_ok()
}

/// Something about a usable term that its author may not have meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// Finds far too much.
    #[error("a single letter or digit is in nearly every paper")]
    OneLetter,
    /// Finds more than anybody reads.
    #[error(
        "`{text}` is in more than every tenth paper on computer science; a longer phrase brings less, and so does a \
         [[keyword]] with the query ti:{text}, which looks into titles only"
    )]
    Broad {
        /// The word.
        text: String,
    },
    /// arXiv's search finds nothing for it.
    #[error("`{text}` holds only words that arXiv's search leaves out; runs find it by harvesting")]
    StopWordsOnly {
        /// The phrase.
        text: String,
    },
    /// A phrase that looks like a query.
    #[error(
        "a keyword is taken literally, so `{sign}` is looked for in the text; write a [[keyword]] with a query instead"
    )]
    LooksLikeQuery {
        /// What looks like syntax.
        sign: String,
    },
}

/// What a term means.
///
/// # Errors
/// If it is empty, too long, holds nothing to find, or its query cannot be read.
pub fn expression(term: &Term) -> Result<Expression, QueryError> {
    let text = term.text.as_str();
    let refuse = |fault| Err(QueryError::whole(text, fault));
    if text.trim().is_empty() {
        return refuse(Fault::Blank);
    }
    if term.kind == TermKind::Query {
        return grammar::parse(text);
    }
    if text.len() > PHRASE_BYTES_MAX {
        return refuse(Fault::TooLong {
            bytes_max: PHRASE_BYTES_MAX,
        });
    }
    let leaf = match term.kind {
        TermKind::Author if Name::new(text).is_some() => Leaf::Author(text.to_owned()),
        TermKind::Phrase if Phrase::new(text, Spelling::Ordinary, false).is_some() => Leaf::Words {
            scope: Scope::TitleOrAbstract,
            text: text.to_owned(),
            spelling: Spelling::Ordinary,
        },
        TermKind::Author | TermKind::Phrase | TermKind::Query => return refuse(Fault::NothingToFind),
    };
    Ok(Expression::Leaf(leaf))
}

/// Checks a term for the configuration.
///
/// # Errors
/// As [`expression`].
pub fn validate(term: &Term) -> Result<Vec<Warning>, QueryError> {
    let expression = expression(term)?;
    let mut warnings = Vec::new();
    if term.kind == TermKind::Phrase {
        warnings.extend(syntax(&term.text).map(|sign| Warning::LooksLikeQuery { sign: sign.to_owned() }));
    }
    if let Expression::Leaf(Leaf::Words {
        scope: Scope::TitleOrAbstract | Scope::Abstract,
        text,
        spelling: Spelling::Ordinary,
    }) = &expression
        && is_broad(&fold(text))
    {
        warnings.push(Warning::Broad { text: text.clone() });
    }
    visit(&expression, &mut |leaf| {
        if let Leaf::Words { text, spelling, .. } = leaf {
            warnings.extend(doubt(text, *spelling));
        }
    });
    warnings.dedup();
    Ok(warnings)
}

fn visit(expression: &Expression, see: &mut impl FnMut(&Leaf)) {
    match expression {
        Expression::Leaf(leaf) => see(leaf),
        Expression::Not(inner) => visit(inner, see),
        Expression::Near { left, right, .. } => {
            visit(left, see);
            visit(right, see);
        }
        Expression::And(parts) | Expression::Or(parts) => parts.iter().for_each(|part| visit(part, see)),
    }
}

fn doubt(text: &str, spelling: Spelling) -> Option<Warning> {
    let folded = fold(text);
    // `C++` is one letter for arXiv, but a name for a reader; a single ideograph is a word.
    let is_one_letter = folded.len() == 1;
    if is_one_letter {
        return Some(Warning::OneLetter);
    }
    let only_stop_words = spelling != Spelling::Prefix && words(&folded).all(|word| is_stop_word(&folded[word]));
    only_stop_words.then(|| Warning::StopWordsOnly { text: text.to_owned() })
}

/// Whether a word in normal form, or its singular, is in so many papers that nobody reads them all.
fn is_broad(word: &str) -> bool {
    let forms = [
        word,
        word.strip_suffix('s').unwrap_or(word),
        word.strip_suffix("es").unwrap_or(word),
    ];
    forms.iter().any(|form| BROAD_WORDS.binary_search(form).is_ok())
}

/// The first part of a phrase that would mean something in a query.
fn syntax(text: &str) -> Option<&str> {
    let is_field = |word: &str| {
        ["ti:", "abs:", "au:", "co:", "cat:", "jr:", "all:"]
            .into_iter()
            .find(|field| word.starts_with(field))
    };
    text.split_whitespace()
        .enumerate()
        .find_map(|(index, word)| match word {
            "AND" | "OR" | "ANDNOT" if index > 0 => Some(word),
            _ => is_field(word.trim_start_matches('(')),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_terms_are_refused_and_doubtful_ones_named() {
        let check = |term: &Term, expected: Result<&[&str], &str>| {
            let outcome = validate(term);
            match (&outcome, expected) {
                (Ok(warnings), Ok(parts)) => {
                    assert_eq!(warnings.len(), parts.len(), "{term:?}: {warnings:?}");
                    for (warning, part) in warnings.iter().zip(parts) {
                        assert!(warning.to_string().contains(part), "{term:?}: {warning}");
                    }
                }
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{term:?}: {error}"),
                _ => panic!("{term:?}: {outcome:?}"),
            }
        };
        check(&Term::phrase(""), Err("empty"));
        check(&Term::phrase(" \t\n"), Err("empty"));
        check(&Term::phrase("-- ?!"), Err("letter or digit"));
        check(&Term::phrase("$\\ $"), Err("letter or digit"));
        check(&Term::phrase("x".repeat(501)), Err("500 bytes"));
        check(&Term::author(" . "), Err("letter or digit"));
        check(&Term::query("(a"), Err("column 1"));
        check(&Term::phrase("q"), Ok(&["single letter"]));
        check(&Term::phrase("to be or not to be"), Ok(&["harvest"]));
        check(&Term::phrase("theory of the firm"), Ok(&[]));
        // CASES 14.
        check(&Term::phrase("dataset"), Ok(&["ti:dataset"]));
        check(&Term::phrase("Benchmarks"), Ok(&["every tenth paper"]));
        check(&Term::phrase("dataset search"), Ok(&[]));
        check(&Term::query("ti:dataset"), Ok(&[]));
        check(&Term::query("dataset AND speech"), Ok(&[]));
        check(&Term::query("abs:approaches"), Ok(&["approaches"]));
        check(&Term::phrase("graph AND network"), Ok(&["`AND`"]));
        check(&Term::phrase("(ti:graph)"), Ok(&["`ti:`"]));
        check(
            &Term::query("x OR graph OR \"of the\""),
            Ok(&["single letter", "`of the`"]),
        );
        for fine in [
            "C++",
            ".NET",
            "F#",
            "-omics",
            "LLM agents (survey",
            "a/b?c",
            "AND gate",
            "模",
            "R&D",
            "\"x y\"",
        ] {
            check(&Term::phrase(fine), Ok(&[]));
        }
    }

    #[test]
    fn lists_are_sorted_for_the_search() {
        assert!(STOP_WORDS.is_sorted() && BROAD_WORDS.is_sorted());
    }
}
