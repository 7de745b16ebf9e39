//! Who takes a mail: an SMTP relay, the local `sendmail`, or a Maildir.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

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
    /// A relay.
    Smtp(relay::Relay),
    /// The local mail system.
    Sendmail(Sendmail),
    /// A folder.
    Maildir(PathBuf),
    /// What a simulation decides.
    #[cfg(test)]
    Script(std::sync::Arc<dyn Scripted>),
}

/// A relay that a simulation plays.
#[cfg(test)]
pub trait Scripted: std::fmt::Debug + Send + Sync {
    /// How the dialogue ends before DATA, if it does.
    fn before_data(&self, message_id: &str, recipient: &str) -> Option<Outcome>;

    /// The message has come over: what is made of it.
    fn take(&self, message_id: &str, recipient: &str, bytes: &[u8]) -> Outcome;
}

/// One worker's end of a [`Transport`].
#[derive(Debug)]
pub struct Courier<'t> {
    transport: &'t Transport,
    hand: Hand<'t>,
}

#[derive(Debug)]
enum Hand<'t> {
    Smtp(Box<relay::RelayConnection>),
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

    /// The way out, for people.
    pub fn in_words(&self) -> String {
        match &self.way {
            Way::Smtp(_) => "the relay".to_owned(),
            Way::Sendmail(sendmail) => sendmail.program.display().to_string(),
            Way::Maildir(folder) => format!("the Maildir {}", folder.display()),
            #[cfg(test)]
            Way::Script(_) => "a simulation".to_owned(),
        }
    }

    /// Lets a relay try the login again that it refused before: once per turn of the pump, not once per mail.
    pub async fn allow_login(&self) {
        if let Way::Smtp(relay) = &self.way {
            relay.allow_login().await;
        }
    }

    /// Tries the way out without sending anything. The steps in words, or why it cannot work.
    pub async fn probe(&self) -> Result<String, String> {
        match &self.way {
            Way::Smtp(relay) => relay
                .probe()
                .await
                .map(|steps| steps.join("; "))
                .map_err(|error| format!("{error} (after: {})", error.steps.join("; "))),
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
            Way::Smtp(relay) => Hand::Smtp(Box::new(relay.open())),
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
    /// Sends one digest. `before_data` is awaited at the last moment at which the mail surely is not taken yet; its
    /// error ends the attempt and comes back.
    pub async fn send<E>(
        &mut self,
        digest: &DigestRecord,
        message_id: &str,
        keys: &Keys,
        bytes: &[u8],
        before_data: impl Future<Output = Result<(), E>>,
    ) -> Result<Outcome, E> {
        let sender = self.transport.sender(digest, keys);
        self.send_from(
            &sender,
            &digest.address,
            message_id,
            digest.frozen_at,
            bytes,
            before_data,
        )
        .await
    }

    /// Sends one message that is no digest: a test or a report. It is not repeated, so nothing is recorded.
    pub async fn send_notice(
        &mut self,
        recipient: &str,
        message_id: &str,
        date: DateTime<Utc>,
        bytes: &[u8],
    ) -> Outcome {
        let sender = self.transport.envelope_sender.clone();
        let nothing = async { Ok::<(), std::convert::Infallible>(()) };
        match self
            .send_from(&sender, recipient, message_id, date, bytes, nothing)
            .await
        {
            Ok(outcome) => outcome,
            Err(never) => match never {},
        }
    }

    async fn send_from<E>(
        &mut self,
        sender: &str,
        recipient: &str,
        message_id: &str,
        date: DateTime<Utc>,
        bytes: &[u8],
        before_data: impl Future<Output = Result<(), E>>,
    ) -> Result<Outcome, E> {
        match &mut self.hand {
            Hand::Smtp(connection) => match Envelope::new(sender, recipient) {
                Ok(envelope) => connection.send(&envelope, bytes, before_data).await,
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
                if let Some(outcome) = script.before_data(message_id, recipient) {
                    return Ok(outcome);
                }
                before_data.await?;
                Ok(script.take(message_id, recipient, bytes))
            }
        }
    }

    /// The steps of the latest dialogue with a relay, in words.
    pub fn dialogue(&self) -> Vec<String> {
        match &self.hand {
            Hand::Smtp(connection) => connection.dialogue_in_words(),
            Hand::Sendmail(_) | Hand::Maildir(_) => Vec::new(),
            #[cfg(test)]
            Hand::Script(_) => Vec::new(),
        }
    }

    /// Takes leave of the relay.
    pub async fn close(self) {
        match self.hand {
            Hand::Smtp(connection) => connection.close().await,
            Hand::Sendmail(_) | Hand::Maildir(_) => {}
            #[cfg(test)]
            Hand::Script(_) => {}
        }
    }
}
