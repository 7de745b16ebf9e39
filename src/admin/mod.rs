//! The operator's commands as functions: the same for the command line, which opens the store itself, and for
//! the control socket of a running daemon, since sled allows one process.

mod bounce;
mod check;
mod export;
#[cfg(test)]
pub(crate) mod fixture;
pub mod freshness;
mod operator;
mod outbox;
mod preview;
mod probe;
pub mod reader;
mod run;
mod sender;
mod state;
mod status;
mod subscribers;
mod suppression;
mod test_mail;
mod try_query;
mod why;

use std::path::PathBuf;

use base64::Engine as _;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use self::{
    bounce::{MAIL_BYTES_MAX, read_maildir},
    check::{check, not_mailed},
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
        /// As for someone new: the mail that welcomes.
        welcome: bool,
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
    /// Digests on their way.
    OutboxList {
        /// Also those that are over, as long as they are kept.
        all: bool,
        /// As JSON.
        json: bool,
    },
    /// All that is known of one digest.
    OutboxShow {
        /// `SUBSCRIBER#NUMBER`.
        digest: String,
        /// As JSON.
        json: bool,
    },
    /// Send a digest that waits or is held now.
    OutboxRetry {
        /// `SUBSCRIBER#NUMBER`.
        digest: String,
    },
    /// Send a digest never.
    OutboxDrop {
        /// `SUBSCRIBER#NUMBER`.
        digest: String,
    },
    /// Send a digest that is over once more.
    Resend {
        /// `SUBSCRIBER#NUMBER`.
        digest: String,
    },
    /// Addresses that are not mailed.
    SuppressionList {
        /// As JSON.
        json: bool,
    },
    /// Stop mail to an address.
    SuppressionAdd {
        /// The address.
        address: String,
        /// Why, for whoever reads the list.
        evidence: String,
    },
    /// Allow mail to an address again.
    SuppressionRemove {
        /// The address.
        address: String,
    },
    /// Who subscribes.
    SubscriberList {
        /// As JSON.
        json: bool,
    },
    /// Let a subscriber's digests wait.
    SubscriberPause {
        /// Name or address.
        subscriber: String,
        /// Until when; until they are resumed, if nothing is named.
        until: Option<DateTime<Utc>>,
    },
    /// End a pause.
    SubscriberResume {
        /// Name or address.
        subscriber: String,
    },
    /// Delete what is remembered of somebody who is not configured any more.
    SubscriberForget {
        /// The name under which they are remembered.
        subscriber: String,
    },
    /// Settle one mail that came back.
    Bounce {
        /// The mail in Base64: it may hold any octets.
        mail: String,
    },
    /// The whole state as JSON lines.
    StateExport,
    /// Fill an empty state.
    StateImport {
        /// An exported state.
        path: PathBuf,
    },
    /// One real message through the configured relay.
    TestMail {
        /// To whom.
        address: String,
    },
    /// Log in to the relay and ask arXiv as a configuration says, sending nothing.
    Probe {
        /// The file, absolute.
        config: PathBuf,
    },
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
            Self::Probe { .. } => "check --online",
            Self::Check { .. } => "check",
            Self::Export { .. } => "export",
            Self::OutboxList { .. } => "outbox list",
            Self::OutboxShow { .. } => "outbox show",
            Self::OutboxRetry { .. } => "outbox retry",
            Self::OutboxDrop { .. } => "outbox drop",
            Self::Resend { .. } => "resend",
            Self::SuppressionList { .. } => "suppression list",
            Self::SuppressionAdd { .. } => "suppression add",
            Self::SuppressionRemove { .. } => "suppression remove",
            Self::SubscriberList { .. } => "subscriber list",
            Self::SubscriberPause { .. } => "subscriber pause",
            Self::SubscriberResume { .. } => "subscriber resume",
            Self::SubscriberForget { .. } => "subscriber forget",
            Self::Bounce { .. } => "bounce",
            Self::StateExport => "state export",
            Self::StateImport { .. } => "state import",
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
            welcome,
        } => preview::command(app, subscriber.as_deref(), *format, *days, *welcome).await,
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
        Command::OutboxList { .. }
        | Command::OutboxShow { .. }
        | Command::OutboxRetry { .. }
        | Command::OutboxDrop { .. }
        | Command::Resend { .. }
        | Command::SuppressionList { .. }
        | Command::SuppressionAdd { .. }
        | Command::SuppressionRemove { .. }
        | Command::SubscriberList { .. }
        | Command::SubscriberPause { .. }
        | Command::SubscriberResume { .. }
        | Command::SubscriberForget { .. }
        | Command::Bounce { .. }
        | Command::StateExport
        | Command::StateImport { .. } => operate(app, command).await,
        Command::TestMail { address } => test_mail::command(app, address).await,
        Command::Probe { config } => probe::command(app, config).await,
        Command::Check { config } => check::in_daemon(app, config).await,
    };
    result.unwrap_or_else(|error| failed(&error))
}

/// The commands that look at and change what is stored. None of them interrupts a run.
async fn operate(app: &App, command: &Command) -> Result<Reply, AppError> {
    let (store, roster, now) = (&*app.store, &app.roster, app.clock.now());
    match command {
        Command::OutboxList { all, json } => outbox::list(store, *all, *json).await,
        Command::OutboxShow { digest, json } => outbox::show(store, digest, *json).await,
        Command::OutboxRetry { digest } => outbox::retry(store, digest, now).await,
        Command::OutboxDrop { digest } => outbox::drop(store, digest, now).await,
        Command::Resend { digest } => outbox::resend(store, digest, now).await,
        Command::SuppressionList { json } => suppression::list(store, *json).await,
        Command::SuppressionAdd { address, evidence } => suppression::add(store, address, evidence, now).await,
        Command::SuppressionRemove { address } => suppression::remove(store, roster, address).await,
        Command::SubscriberList { json } => subscribers::list(store, roster, now, *json).await,
        Command::SubscriberPause { subscriber, until } => {
            subscribers::pause(store, roster, subscriber, *until, now).await
        }
        Command::SubscriberResume { subscriber } => subscribers::resume(store, roster, subscriber, now).await,
        Command::SubscriberForget { subscriber } => subscribers::forget(store, roster, subscriber).await,
        Command::Bounce { mail } => {
            let mail = base64::engine::general_purpose::STANDARD
                .decode(mail)
                .map_err(|error| AppError::Usage(format!("the mail is no Base64: {error}")))?;
            bounce::command(app, &mail).await
        }
        Command::StateExport => {
            let _alone = app.run_lock.lock().await;
            state::export(store, now).await
        }
        Command::StateImport { path } => {
            let _alone = app.run_lock.lock().await;
            state::import(store, path, now).await
        }
        other => Err(AppError::Usage(format!("{} is carried out elsewhere", other.name()))),
    }
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

fn moment(at: DateTime<Utc>) -> String {
    at.format("%F %H:%M UTC").to_string()
}

fn json<T: Serialize>(value: &T) -> Result<String, AppError> {
    let mut text = serde_json::to_string_pretty(value).map_err(anyhow::Error::new)?;
    text.push('\n');
    Ok(text)
}
