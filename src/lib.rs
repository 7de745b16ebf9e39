//! Paperround reads arXiv every day and mails each subscriber one digest of the new papers on their keywords.
//!
//! The modules in reading order, which is also the order in which they may use each other: a module
//! uses only modules of a lower level, never its own level or a higher one (a test reads the imports).
//!
//! | level | modules |
//! |---|---|
//! | 0 | [`model`] values, [`clock`] |
//! | 1 | [`tex`], [`token`], [`schedule`], [`standing`] what a daemon knows of itself, [`metrics`] what is counted |
//! | 2 | [`matching`] which papers fit which terms |
//! | 3 | [`arxiv`] bytes to papers, [`digest`] what goes into one |
//! | 4 | [`render`] a stored digest as subject, text and HTML |
//! | 5 | [`mail`] one message on its way, [`store`] what is remembered |
//! | 6 | [`fetch`] the way to arXiv, [`roster`] who gets what |
//! | 7 | [`run`] one slot from fetch to outbox, [`delivery`] from outbox to relay, [`export`] papers outside of mail, [`report`] mails to the operator |
//! | 8 | [`config`] |
//! | 9 | [`app`] the composition root, [`telemetry`] |
//! | 10 | [`admin`] the operator's commands |
//! | 11 | [`http`] the web part |
//! | 12 | [`daemon`] |
//! | 13 | [`demo`] |
//! | 14 | [`cli`] |

pub mod clock;
pub mod model;

pub mod metrics;
pub mod schedule;
pub mod standing;
pub mod tex;
pub mod token;

pub mod matching;

pub mod arxiv;
pub mod digest;

pub mod render;

pub mod mail;
pub mod store;

pub mod fetch;
pub mod roster;

pub mod delivery;
pub mod export;
pub mod report;
pub mod run;

pub mod config;

pub mod app;
pub mod telemetry;

pub mod admin;

pub mod http;

pub mod daemon;

pub mod demo;

pub mod cli;
