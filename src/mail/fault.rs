//! How a dialogue ends early, and what that means for the mail.

use std::io;
use std::time::Duration;

use thiserror::Error;

use super::reply::Reply;
use crate::model::{Outcome, Stage};

/// Why a step of the dialogue did not succeed.
#[derive(Debug, Error)]
pub enum Fault {
    /// The relay said no; the session goes on unless it was a 421.
    #[error("the relay answered {0}")]
    Refused(Reply),
    /// Nothing, or not all of it, within the limit.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    TimedOut(Duration),
    /// The relay closed the connection.
    #[error("the relay closed the connection")]
    Closed,
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    /// Nobody answers at any address, or the name has none.
    #[error("{0}")]
    Unreachable(String),
    /// The relay does not keep to SMTP.
    #[error("{0}")]
    Protocol(String),
    /// Something to change in the configuration, in words that name it.
    #[error("{0}")]
    Setting(String),
    /// This message cannot be given to this relay.
    #[error("{0}")]
    Message(String),
    /// This recipient's address cannot be given to this relay.
    #[error("{0}")]
    Address(String),
}

/// A step that did not succeed, and where.
#[derive(Debug, Error)]
#[error("{} did not succeed", words(*.stage))]
pub struct SessionError {
    /// The step.
    pub stage: Stage,
    /// Why.
    #[source]
    pub fault: Fault,
}

impl SessionError {
    /// A failure at `stage`.
    pub fn new(stage: Stage, fault: Fault) -> Self {
        Self { stage, fault }
    }

    /// Whether the session can go on after it (with RSET): only a refusal leaves both sides in step.
    pub fn leaves_session_usable(&self) -> bool {
        match &self.fault {
            Fault::Refused(reply) => reply.code >= 400 && !reply.is_closing() && reply.code != 503,
            Fault::Message(_) | Fault::Address(_) => true,
            Fault::TimedOut(_)
            | Fault::Closed
            | Fault::Broken(_)
            | Fault::Unreachable(_)
            | Fault::Protocol(_)
            | Fault::Setting(_) => false,
        }
    }

    /// Whether the relay had simply closed an idle or much used connection, so that a new one is worth a try at once.
    pub fn is_stale(&self) -> bool {
        match &self.fault {
            Fault::Closed | Fault::Broken(_) => true,
            Fault::Refused(reply) => reply.is_closing() || reply.code == 503,
            Fault::Protocol(_)
            | Fault::TimedOut(_)
            | Fault::Unreachable(_)
            | Fault::Setting(_)
            | Fault::Message(_)
            | Fault::Address(_) => false,
        }
    }

    /// What it means for the mail.
    pub fn outcome(&self) -> Outcome {
        let stage = self.stage;
        let reply = match &self.fault {
            Fault::Refused(reply) if reply.code >= 400 => return reply.judge(stage),
            // A 2yz or 3yz where another was due: whatever the relay meant, it is not in step with us.
            Fault::Refused(reply) => format!("the relay answered out of turn: {reply}"),
            Fault::Broken(source) => format!("{}: {source}", self.fault),
            fault => fault.to_string(),
        };
        let reply = format!("{}: {reply}", words(stage));
        match &self.fault {
            Fault::Setting(_) => Outcome::Configuration { stage, reply },
            Fault::Message(_) => Outcome::PermanentMessage { stage, reply },
            Fault::Address(_) => Outcome::PermanentRecipient {
                stage,
                reply,
                no_such_mailbox: false,
            },
            Fault::Refused(_)
            | Fault::TimedOut(_)
            | Fault::Closed
            | Fault::Broken(_)
            | Fault::Unreachable(_)
            | Fault::Protocol(_) => match stage {
                Stage::FinalReply => Outcome::Unconfirmed { reply },
                Stage::Connect
                | Stage::Tls
                | Stage::Greeting
                | Stage::Hello
                | Stage::Auth
                | Stage::Mail
                | Stage::Recipient
                | Stage::Data
                | Stage::Body => Outcome::TransientRelay { stage, reply },
            },
        }
    }
}

/// The stage as people read it.
pub fn words(stage: Stage) -> &'static str {
    match stage {
        Stage::Connect => "connect",
        Stage::Tls => "TLS",
        Stage::Greeting => "greeting",
        Stage::Hello => "EHLO",
        Stage::Auth => "login",
        Stage::Mail => "MAIL FROM",
        Stage::Recipient => "RCPT TO",
        Stage::Data => "DATA",
        Stage::Body => "message",
        Stage::FinalReply => "reply to the message",
    }
}
