//! The subcommands that look at and change what is stored.

use std::{
    io::{self, Read as _},
    path::PathBuf,
};

use base64::Engine as _;
use chrono::{DateTime, NaiveDate, Utc};
use clap::Subcommand;

use crate::{
    admin::{self, Command},
    app::AppError,
};

/// `outbox`.
#[derive(Debug, Subcommand)]
pub(super) enum Outbox {
    /// The digests on their way.
    List {
        /// Also those that are over; they are kept for two weeks.
        #[arg(long)]
        all: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// All that is known of one digest.
    Show {
        /// SUBSCRIBER#NUMBER, as `outbox list` shows it.
        digest: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Send a digest that waits or is held now, under the same Message-ID.
    Retry {
        /// SUBSCRIBER#NUMBER, as `outbox list` shows it.
        digest: String,
    },
    /// Never send a digest; its papers come in the next one unless the relay may have it.
    Drop {
        /// SUBSCRIBER#NUMBER, as `outbox list` shows it.
        digest: String,
    },
}

/// `suppression`.
#[derive(Debug, Subcommand)]
pub(super) enum Suppression {
    /// The addresses that are not mailed, and why.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Stop mail to an address, whatever the configuration says.
    Add {
        /// The address.
        address: String,
        /// Why, for whoever reads the list later.
        #[arg(long, value_name = "TEXT", default_value = "by the operator")]
        evidence: String,
    },
    /// Mail an address again.
    Remove {
        /// The address.
        address: String,
    },
}

/// `subscriber`.
#[derive(Debug, Subcommand)]
pub(super) enum Subscriber {
    /// Everyone who is configured or remembered, with what waits for them.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let somebody's digests wait; nothing is lost.
    Pause {
        /// Name or address.
        subscriber: String,
        /// Until this day (its beginning in UTC) or moment; without it until `subscriber resume`.
        #[arg(long, value_name = "DATE", value_parser = moment)]
        until: Option<DateTime<Utc>>,
    },
    /// End a pause.
    Resume {
        /// Name or address.
        subscriber: String,
    },
    /// Delete all that is remembered of somebody who is not configured any more.
    Forget {
        /// The name under which they are remembered.
        subscriber: String,
    },
}

/// `state`.
#[derive(Debug, Subcommand)]
pub(super) enum State {
    /// Write everything that is remembered as JSON lines.
    Export {
        /// Write it there instead of standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Fill an empty state from an exported one.
    Import {
        /// The exported state.
        file: PathBuf,
    },
}

impl From<Outbox> for Command {
    fn from(outbox: Outbox) -> Self {
        match outbox {
            Outbox::List { all, json } => Self::OutboxList { all, json },
            Outbox::Show { digest, json } => Self::OutboxShow { digest, json },
            Outbox::Retry { digest } => Self::OutboxRetry { digest },
            Outbox::Drop { digest } => Self::OutboxDrop { digest },
        }
    }
}

impl From<Suppression> for Command {
    fn from(suppression: Suppression) -> Self {
        match suppression {
            Suppression::List { json } => Self::SuppressionList { json },
            Suppression::Add { address, evidence } => Self::SuppressionAdd { address, evidence },
            Suppression::Remove { address } => Self::SuppressionRemove { address },
        }
    }
}

impl From<Subscriber> for Command {
    fn from(subscriber: Subscriber) -> Self {
        match subscriber {
            Subscriber::List { json } => Self::SubscriberList { json },
            Subscriber::Pause { subscriber, until } => Self::SubscriberPause { subscriber, until },
            Subscriber::Resume { subscriber } => Self::SubscriberResume { subscriber },
            Subscriber::Forget { subscriber } => Self::SubscriberForget { subscriber },
        }
    }
}

/// The mail on standard input; more than is looked at is read and thrown away, so that the writer is not cut off.
pub(super) fn bounce() -> Result<Command, AppError> {
    let mut mail = Vec::new();
    let mut input = io::stdin().lock();
    input
        .by_ref()
        .take(admin::MAIL_BYTES_MAX)
        .read_to_end(&mut mail)
        .and_then(|_| io::copy(&mut input, &mut io::sink()))
        .map_err(|error| AppError::Usage(format!("standard input: {error}")))?;
    let mail = base64::engine::general_purpose::STANDARD.encode(mail);
    Ok(Command::Bounce { mail })
}

fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    let as_day = || {
        let day: NaiveDate = text.parse().ok()?;
        Some(day.and_time(chrono::NaiveTime::MIN).and_utc())
    };
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|at| at.to_utc())
        .or_else(as_day)
        .ok_or_else(|| "expected a day such as 2026-12-24 or a moment such as 2026-12-24T08:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_end_at_days_and_at_moments() {
        let check = |text: &str, expected: Option<&str>| {
            let read = moment(text).ok().map(|at| at.to_rfc3339());
            assert_eq!(read.as_deref(), expected, "{text}");
        };
        check("2026-12-24", Some("2026-12-24T00:00:00+00:00"));
        check("2026-12-24T08:00:00+01:00", Some("2026-12-24T07:00:00+00:00"));
        check("24.12.", None);
    }
}
