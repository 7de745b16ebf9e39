//! Who takes a mail: SMTP relays, the local `sendmail`, or a Maildir.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::settle::is_relay_trouble;
use crate::{
    mail::{envelope::Envelope, maildir, relay, sendmail::Sendmail},
    model::{DigestRecord, Outcome},
    token::Keys,
};

/// A configured way out.
#[derive(Debug)]
pub struct Transport {
    way: Way,
    /// Where bounces go.
    envelope_sender: String,
    /// Whether the envelope sender names the subscriber.
    verp: bool,
}

/// The ways there are.
#[derive(Debug)]
pub enum Way {
    /// Relays, in the order in which they are tried.
    Smtp(Vec<relay::Relay>),
    /// The local mail system.
    Sendmail(Sendmail),
    /// A folder.
    Maildir(PathBuf),
    /// What a simulation decides.
    #[cfg(test)]
    Script(std::sync::Arc<dyn Scripted>),
}

/// Relays that a simulation plays.
#[cfg(test)]
pub trait Scripted: std::fmt::Debug + Send + Sync {
    /// How many there are.
    fn n_relays(&self) -> usize;

    /// How the dialogue with one of them ends before DATA, if it does.
    fn before_data(&self, relay: usize, message_id: &str, recipient: &str) -> Option<Outcome>;

    /// The message has come over: what is made of it.
    fn take(&self, relay: usize, message_id: &str, recipient: &str, bytes: &[u8]) -> Outcome;
}

/// One worker's end of a [`Transport`].
#[derive(Debug)]
pub struct Courier<'t> {
    transport: &'t Transport,
    hand: Hand<'t>,
}

#[derive(Debug)]
enum Hand<'t> {
    Smtp {
        relays: Vec<relay::RelayConnection>,
        /// The one that took the latest message that is no digest, or failed last.
        latest: usize,
    },
    Sendmail(&'t Sendmail),
    Maildir(&'t Path),
    #[cfg(test)]
    Script(&'t dyn Scripted),
}

impl Transport {
    /// A way out for mails whose bounces go to `envelope_sender`.
    pub fn new(way: Way, envelope_sender: String, verp: bool) -> Self {
        Self {
            way,
            envelope_sender,
            verp,
        }
    }

    /// Which way it is.
    pub fn way(&self) -> &Way {
        &self.way
    }

    /// What the ways out are called in messages, in the order in which they are tried. Only relays can be several.
    pub fn names(&self) -> Vec<String> {
        match &self.way {
            Way::Smtp(relays) => relays.iter().map(|relay| relay.name().to_owned()).collect(),
            #[cfg(test)]
            Way::Script(script) => (0..script.n_relays())
                .map(|relay| format!("simulated {relay}"))
                .collect(),
            _ => vec![self.in_words()],
        }
    }

    /// The way out, for people.
    pub fn in_words(&self) -> String {
        match &self.way {
            Way::Smtp(relays) if relays.len() > 1 => format!("one of the relays {}", self.names().join(", ")),
            Way::Smtp(_) => "the relay".to_owned(),
            Way::Sendmail(sendmail) => sendmail.program.display().to_string(),
            Way::Maildir(folder) => format!("the Maildir {}", folder.display()),
            #[cfg(test)]
            Way::Script(_) => "a simulation".to_owned(),
        }
    }

    /// Lets relays try the login again that they refused before: once per turn of the pump, not once per mail.
    pub async fn allow_login(&self) {
        if let Way::Smtp(relays) = &self.way {
            for relay in relays {
                relay.allow_login().await;
            }
        }
    }

    /// Tries one way out of [`Self::names`] without sending anything. The steps in words, or why it cannot work.
    pub async fn probe(&self, relay: usize) -> Result<String, String> {
        match &self.way {
            Way::Smtp(relays) => relays[relay]
                .probe()
                .await
                .map(|steps| steps.join("; "))
                .map_err(|error| match error.steps.split_last() {
                    // The last step is the failure itself.
                    Some((_, before @ [_, ..])) => format!("{error} (after: {})", before.join("; ")),
                    _ => error.to_string(),
                }),
            Way::Sendmail(sendmail) => match std::fs::metadata(&sendmail.program) {
                Ok(file) if file.is_file() => Ok(format!("{} is there", sendmail.program.display())),
                Ok(_) => Err(format!("mail.sendmail: {} is no file", sendmail.program.display())),
                Err(error) => Err(format!("mail.sendmail: {}: {error}", sendmail.program.display())),
            },
            Way::Maildir(folder) => Ok(format!("mails are written into {}", folder.display())),
            #[cfg(test)]
            Way::Script(_) => Ok(String::new()),
        }
    }

    /// A new worker's end: a connection of its own, made when it is first needed.
    pub fn courier(&self) -> Courier<'_> {
        let hand = match &self.way {
            Way::Smtp(relays) => Hand::Smtp {
                relays: relays.iter().map(relay::Relay::open).collect(),
                latest: 0,
            },
            Way::Sendmail(sendmail) => Hand::Sendmail(sendmail),
            Way::Maildir(folder) => Hand::Maildir(folder),
            #[cfg(test)]
            Way::Script(script) => Hand::Script(&**script),
        };
        Courier { transport: self, hand }
    }

    /// The envelope sender for one digest.
    ///
    /// The token names the subscriber, not the digest: a greylisting server must see the same sender again.
    fn sender(&self, digest: &DigestRecord, keys: &Keys) -> String {
        match self.envelope_sender.split_once('@') {
            Some((local, domain)) if self.verp && !digest.shared => {
                format!("{local}+{}@{domain}", keys.sign_envelope(&digest.id.subscriber))
            }
            _ => self.envelope_sender.clone(),
        }
    }
}

impl Courier<'_> {
    /// Sends one digest through one of the ways of [`Transport::names`]. `before_data` is awaited at the last moment at which the mail surely is not taken yet; its
    /// error ends the attempt and comes back.
    pub async fn send<E>(
        &mut self,
        relay: usize,
        digest: &DigestRecord,
        message_id: &str,
        keys: &Keys,
        bytes: &[u8],
        before_data: impl Future<Output = Result<(), E>>,
    ) -> Result<Outcome, E> {
        let sender = self.transport.sender(digest, keys);
        let message = Message {
            sender: &sender,
            recipient: &digest.address,
            message_id,
            date: digest.frozen_at,
            bytes,
        };
        self.send_from(relay, &message, before_data).await
    }

    /// Sends one message that is no digest, a test or a report, through the first relay that does not fail for all
    /// mails. It is not repeated, so nothing is recorded.
    pub async fn send_notice(
        &mut self,
        recipient: &str,
        message_id: &str,
        date: DateTime<Utc>,
        bytes: &[u8],
    ) -> Outcome {
        let sender = self.transport.envelope_sender.clone();
        let message = Message {
            sender: &sender,
            recipient,
            message_id,
            date,
            bytes,
        };
        loop {
            let relay = match &self.hand {
                Hand::Smtp { latest, .. } => *latest,
                _ => 0,
            };
            let nothing = async { Ok::<(), std::convert::Infallible>(()) };
            let outcome = match self.send_from(relay, &message, nothing).await {
                Ok(outcome) => outcome,
                Err(never) => match never {},
            };
            match &mut self.hand {
                Hand::Smtp { relays, latest } if is_relay_trouble(&outcome) && relay + 1 < relays.len() => *latest += 1,
                _ => return outcome,
            }
        }
    }

    async fn send_from<E>(
        &mut self,
        relay: usize,
        message: &Message<'_>,
        before_data: impl Future<Output = Result<(), E>>,
    ) -> Result<Outcome, E> {
        let Message {
            sender,
            recipient,
            message_id,
            date,
            bytes,
        } = *message;
        match &mut self.hand {
            Hand::Smtp { relays, .. } => match Envelope::new(sender, recipient) {
                Ok(envelope) => relays[relay].send(&envelope, bytes, before_data).await,
                Err(error) => Ok(error.outcome()),
            },
            Hand::Sendmail(sendmail) => {
                before_data.await?;
                Ok(sendmail.deliver(sender, recipient, bytes).await)
            }
            Hand::Maildir(folder) => {
                before_data.await?;
                let (folder, message_id, bytes) = (folder.to_owned(), message_id.to_owned(), bytes.to_vec());
                let written =
                    tokio::task::spawn_blocking(move || maildir::deliver(&folder, &bytes, &message_id, date)).await;
                Ok(written.unwrap_or_else(|error| Outcome::Unconfirmed {
                    reply: format!("writing ended early: {error}"),
                }))
            }
            #[cfg(test)]
            Hand::Script(script) => {
                if let Some(outcome) = script.before_data(relay, message_id, recipient) {
                    return Ok(outcome);
                }
                before_data.await?;
                Ok(script.take(relay, message_id, recipient, bytes))
            }
        }
    }

    /// The steps of the latest dialogues, in words: with more than one relay, each step names its own.
    pub fn dialogue(&self) -> Vec<String> {
        match &self.hand {
            Hand::Smtp { relays, .. } => relays
                .iter()
                .flat_map(|relay| {
                    let name = if relays.len() > 1 {
                        format!("{}: ", relay.relay().name())
                    } else {
                        String::new()
                    };
                    let steps = relay.dialogue_in_words().into_iter();
                    steps.map(move |step| format!("{name}{step}"))
                })
                .collect(),
            Hand::Sendmail(_) | Hand::Maildir(_) => Vec::new(),
            #[cfg(test)]
            Hand::Script(_) => Vec::new(),
        }
    }

    /// Takes leave of the relays.
    pub async fn close(self) {
        match self.hand {
            Hand::Smtp { relays, .. } => {
                for relay in relays {
                    relay.close().await;
                }
            }
            Hand::Sendmail(_) | Hand::Maildir(_) => {}
            #[cfg(test)]
            Hand::Script(_) => {}
        }
    }
}

/// What is to be sent, and to whom.
#[derive(Debug, Clone, Copy)]
struct Message<'m> {
    sender: &'m str,
    recipient: &'m str,
    message_id: &'m str,
    date: DateTime<Utc>,
    bytes: &'m [u8],
}
