//! Which papers fit which terms.
//!
//! A plain keyword is a literal phrase, never query syntax. It fits where its words stand whole in title or
//! abstract, after both sides were brought into one form: TeX read, compatibility forms resolved, case and
//! accents folded, every hyphen, dash and stretch of white space one blank, markup and quotation marks dropped.
//!
//! - *Whole words*: `RAG` is in `RAG-based`, `(RAG)` and `RAG's`, not in `fragment`, `GraphRAG` or `RAG2`. As a
//!   hyphen is a blank, `isis` is in `cr-isis` too. Scripts without blanks between words match anywhere.
//! - *Capitals*: a word of two letters or more that is written in capitals must stand in capitals, a small
//!   plural s allowed (`GANs`). Any other word matches any case.
//! - *Plural*: the last word may take s or es. A keyword in the plural does not find the singular.
//! - *Symbols* count and are their own boundary: `C++` is in `C++17`; `C` is not in `C++`; `.NET` is not in `ASP.NET`.
//!
//! A query (see [`parse`]) joins such phrases. Every term of every subscriber is matched in one pass.

mod author;
pub mod category;
mod compile;
mod explain;
mod expression;
mod fault;
#[cfg(test)]
pub(crate) mod fixture;
mod form;
mod grammar;
#[cfg(test)]
mod judged;
mod letters;
mod lexicon;
mod matcher;
mod normalise;
mod phrase;
mod pieces;
mod sought;
mod stem;
mod validate;
mod verdict;

pub use explain::explain;
pub use expression::{Expression, Leaf, Scope, Spelling};
pub use fault::{Fault, QueryError};
pub use grammar::{DEPTH_MAX, LEAVES_MAX, NEAR_WORDS_MAX, PREFIX_LETTERS_MIN, QUERY_BYTES_MAX, parse};
pub use lexicon::{Found, KeptLexicon, Lexicon, Reading, Take};
pub use matcher::{Match, Matcher};
pub use validate::{PHRASE_BYTES_MAX, Warning, expression, is_stop_word, validate};
pub use verdict::{Evidence, Miss, Verdict};

pub(crate) use author::{in_reading_order, is_name_suffix};
pub(crate) use normalise::{fold, readable};
