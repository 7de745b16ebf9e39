//! The operator's commands as functions: the same for the command line, which opens the store itself, and for
//! the control socket of a running daemon, since sled allows one process.

mod check;
mod export;
mod operator;
mod preview;
mod run;
mod sender;
mod status;
mod test_mail;
mod try_query;
mod why;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use self::{
    check::{check, load_and_check, probe},
    operator::conclude,
    run::{Fetch, fetch, run_due, run_everyone, serve_slots},
};
use crate::{
    app::{App, AppError, Exit},
    export::Format,
};

/// A command that works on the store, in the form in which it goes through the control socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// One run now.
    Run {
        /// Only those whose slot has come.
        due: bool,
        /// Where a dry run writes what it would send.
        dry_run_out: Option<PathBuf>,
        /// End a pause after a 403 first.
        resume: bool,
        /// Print the report as JSON.
        json: bool,
    },
    /// The digest that a subscriber would get now.
    Preview {
        /// Whose; the only one, if there is only one.
        subscriber: Option<String>,
        /// Which part of it.
        format: PreviewFormat,
        /// Instead of what is pending: everything stored of the last days.
        days: Option<u32>,
    },
    /// How things stand.
    Status {
        /// As JSON.
        json: bool,
    },
    /// What happened to a paper.
    Why {
        /// Its identifier.
        identifier: String,
        /// For whom; everyone, if nobody is named.
        subscriber: Option<String>,
        /// As JSON.
        json: bool,
    },
    /// What a keyword or a query would have found.
    Try {
        /// The keyword, the name of a `[[keyword]]`, or with `is_query` a query.
        query: String,
        /// Whether it is read by the query grammar.
        is_query: bool,
        /// How many days the window reaches back.
        days: u32,
        /// Look only at stored papers, and ask arXiv nothing.
        stored: bool,
        /// Mark words for a terminal, not by asterisks.
        bold: bool,
        /// As JSON.
        json: bool,
    },
    /// The newest papers of every keyword.
    Export {
        /// As what.
        format: Format,
    },
    /// One real message through the configured relay.
    TestMail {
        /// To whom.
        address: String,
    },
    /// Log in to the relay and ask arXiv, sending nothing.
    Probe,
    /// Check a configuration with the environment of the daemon.
    Check {
        /// The file, absolute.
        config: PathBuf,
    },
}

impl Command {
    /// Its name on the command line, for the log: arguments may hold addresses.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Run { .. } => "run",
            Self::Preview { .. } => "preview",
            Self::Status { .. } => "status",
            Self::Why { .. } => "why",
            Self::Try { .. } => "try",
            Self::TestMail { .. } => "test-mail",
            Self::Probe => "check --online",
            Self::Check { .. } => "check",
            Self::Export { .. } => "export",
        }
    }
}

/// Which part of a digest a preview shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PreviewFormat {
    /// The HTML part.
    #[default]
    Html,
    /// The text part.
    Text,
    /// The whole message.
    Eml,
}

/// What a command printed and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// For standard output.
    pub output: String,
    /// For standard error: one line per problem.
    pub problems: Vec<String>,
    /// How it ended.
    pub exit: Exit,
}

impl Reply {
    /// Output and nothing to complain about.
    pub fn done(output: String) -> Self {
        Self {
            output,
            problems: Vec::new(),
            exit: Exit::Done,
        }
    }
}

/// Carries a command out. An error is turned into a reply, so that both callers end alike.
pub async fn execute(app: &App, command: &Command) -> Reply {
    let result = match command {
        Command::Run {
            due,
            dry_run_out,
            resume,
            json,
        } => run::command(app, *due, dry_run_out.as_deref(), *resume, *json).await,
        Command::Preview {
            subscriber,
            format,
            days,
        } => preview::command(app, subscriber.as_deref(), *format, *days).await,
        Command::Status { json } => status::command(app, *json).await,
        Command::Why {
            identifier,
            subscriber,
            json,
        } => why::command(app, identifier, subscriber.as_deref(), *json).await,
        Command::Try {
            query,
            is_query,
            days,
            stored,
            bold,
            json,
        } => {
            let asked = try_query::Asked {
                query,
                is_query: *is_query,
                days: *days,
                stored: *stored,
                bold: *bold,
                as_json: *json,
            };
            try_query::command(app, asked).await
        }
        Command::Export { format } => export::command(app, *format).await,
        Command::TestMail { address } => test_mail::command(app, address).await,
        Command::Probe => probe(app).await,
        Command::Check { config } => load_and_check(config, app.clock.now()),
    };
    result.unwrap_or_else(|error| failed(&error))
}

/// An error as a reply: one line that says what, where and what to do.
pub fn failed(error: &AppError) -> Reply {
    Reply {
        output: String::new(),
        problems: vec![error.to_string()],
        exit: error.exit(),
    }
}

/// The person that a command names, or the only one.
fn person<'a>(app: &'a App, name: Option<&str>) -> Result<&'a crate::roster::Person, AppError> {
    match (name, app.roster.people()) {
        (Some(name), _) => app
            .roster
            .find(name)
            .map(|person| &**person)
            .ok_or_else(|| AppError::Usage(format!("{name:?} is no subscriber; `paperround check` lists them"))),
        (None, [only]) => Ok(only),
        (None, people) => Err(AppError::Usage(format!(
            "there are {} subscribers: name one",
            people.len()
        ))),
    }
}

fn json<T: Serialize>(value: &T) -> Result<String, AppError> {
    let mut text = serde_json::to_string_pretty(value).map_err(anyhow::Error::new)?;
    text.push('\n');
    Ok(text)
}
