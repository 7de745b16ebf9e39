//! arXiv's interfaces as pure functions: queries out, papers in, and the proof that an answer is complete.

pub mod atom;
pub mod calendar;
pub mod completeness;
pub mod leafsets;
pub mod oai;
pub mod rss;
pub mod search;
pub mod setlist;

mod fields;
mod names;
#[cfg(test)]
mod recorded;
mod xml;

pub use fields::{ABSTRACT_BYTES_MAX, AUTHORS_MAX, LINE_BYTES_MAX, TITLE_BYTES_MAX};
pub use xml::{BODY_BYTES_MAX, DEPTH_MAX, ENTRIES_MAX, FeedError, Mended, Rejected};
