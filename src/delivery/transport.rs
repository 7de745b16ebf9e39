//! Who takes a mail: an SMTP relay, the local `sendmail`, or a Maildir.

use std::path::{Path, PathBuf};

use crate::{
    mail::{maildir, relay, sendmail::Sendmail},
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
}

/// One worker's end of a [`Transport`].
#[derive(Debug)]
pub struct Courier<'t> {
    transport: &'t Transport,
    hand: Hand<'t>,
}

#[derive(Debug)]
enum Hand<'t> {
    Smtp(relay::Connection<'t>),
    Sendmail(&'t Sendmail),
    Maildir(&'t Path),
}

impl Transport {
    /// A way out for mails whose bounces go to `envelope_sender`.
    pub fn new(way: Way, envelope_sender: String, verp: bool) -> Self {
        Self { way, envelope_sender, verp }
    }

    /// Which way it is.
    pub fn way(&self) -> &Way {
        &self.way
    }

    /// A new worker's end: a connection of its own, made when it is first needed.
    pub fn courier(&self) -> Courier<'_> {
        let hand = match &self.way {
            Way::Smtp(relay) => Hand::Smtp(relay.connection()),
            Way::Sendmail(sendmail) => Hand::Sendmail(sendmail),
            Way::Maildir(folder) => Hand::Maildir(folder),
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
    /// Sends one mail. `before_data` is awaited at the last moment at which the mail surely is not taken yet; its
    /// error ends the attempt and comes back.
    pub async fn send<E>(
        &mut self,
        digest: &DigestRecord,
        message_id: &str,
        keys: &Keys,
        bytes: &[u8],
        before_data: impl AsyncFnOnce() -> Result<(), E>,
    ) -> Result<Outcome, E> {
        let sender = self.transport.sender(digest, keys);
        match &mut self.hand {
            Hand::Smtp(connection) => {
                let envelope = relay::Envelope { sender, recipient: digest.address.clone() };
                connection.send(&envelope, bytes, before_data).await
            }
            Hand::Sendmail(sendmail) => {
                before_data().await?;
                Ok(sendmail.deliver(&sender, &digest.address, bytes).await)
            }
            Hand::Maildir(folder) => {
                before_data().await?;
                let (folder, message_id, date) = (folder.to_owned(), message_id.to_owned(), digest.frozen_at);
                let bytes = bytes.to_vec();
                let written =
                    tokio::task::spawn_blocking(move || maildir::deliver(&folder, &bytes, &message_id, date)).await;
                Ok(written.unwrap_or_else(|error| Outcome::Unconfirmed { reply: format!("writing ended early: {error}") }))
            }
        }
    }

    /// Takes leave of the relay.
    pub async fn close(self) {
        match self.hand {
            Hand::Smtp(connection) => connection.close().await,
            Hand::Sendmail(_) | Hand::Maildir(_) => {}
        }
    }
}
