//! Who sends and who gets one message, as the dialogue with the relay names them.

use lettre::Address;
use thiserror::Error;

use super::reply::clean;
use crate::model::{Outcome, Stage};

/// One sender and one recipient: a message is personal, and a refusal concerns one person only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    sender: Address,
    recipient: Address,
}

/// Why an address cannot be used in the dialogue.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EnvelopeError {
    /// The envelope sender is no address.
    #[error("the envelope sender {0:?} is no mail address: check `mail.envelope_sender` and `mail.from`")]
    Sender(String),
    /// The recipient is no address.
    #[error("the recipient {0:?} is no mail address")]
    Recipient(String),
}

impl EnvelopeError {
    /// What it means for the mail.
    pub fn outcome(&self) -> Outcome {
        let reply = self.to_string();
        match self {
            Self::Sender(_) => Outcome::Configuration {
                stage: Stage::Mail,
                reply,
            },
            Self::Recipient(_) => Outcome::PermanentRecipient {
                stage: Stage::Recipient,
                reply,
                no_such_mailbox: false,
            },
        }
    }
}

impl Envelope {
    /// Reads both addresses; a domain outside ASCII becomes its `xn--` form (RFC 5890).
    ///
    /// # Errors
    /// When one of them is no address.
    pub fn new(sender: &str, recipient: &str) -> Result<Self, EnvelopeError> {
        Ok(Self {
            sender: parse(sender).ok_or_else(|| EnvelopeError::Sender(clean(sender)))?,
            recipient: parse(recipient).ok_or_else(|| EnvelopeError::Recipient(clean(recipient)))?,
        })
    }

    /// For MAIL FROM.
    pub fn sender(&self) -> &Address {
        &self.sender
    }

    /// For RCPT TO.
    pub fn recipient(&self) -> &Address {
        &self.recipient
    }
}

/// Whether the address can only be sent under SMTPUTF8 (RFC 6531): no encoding exists for a local part.
pub fn needs_utf8(address: &Address) -> bool {
    !AsRef::<str>::as_ref(address).is_ascii()
}

fn parse(text: &str) -> Option<Address> {
    let (user, domain) = text.rsplit_once('@')?;
    if domain.is_ascii() {
        return text.parse().ok();
    }
    Address::new(user, idna::domain_to_ascii(domain).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_what_a_relay_can_read() {
        #[track_caller]
        fn check(text: &str, expected: Option<(&str, bool)>) {
            let parsed = parse(text).map(|address| (address.to_string(), needs_utf8(&address)));
            assert_eq!(parsed, expected.map(|(text, utf8)| (text.to_owned(), utf8)), "{text:?}");
        }
        check("ana@example.net", Some(("ana@example.net", false)));
        check("k@bücher.example", Some(("k@xn--bcher-kva.example", false)));
        check("käthe@example.net", Some(("käthe@example.net", true)));
        check("a b@example.net", None);
        check("ana@example.net>\r\nRCPT TO:<x@example.org", None);
        check("ana@exämple.net>\r\nDATA", None);
        check("ana", None);
        check("", None);
    }

    #[test]
    fn a_wrong_sender_is_no_fault_of_the_recipient() {
        let sender = Envelope::new("nobody", "ana@example.net").unwrap_err().outcome();
        assert!(matches!(sender, Outcome::Configuration { stage: Stage::Mail, .. }));
        let recipient = Envelope::new("papers@example.org", "nobody").unwrap_err().outcome();
        assert!(matches!(
            recipient,
            Outcome::PermanentRecipient {
                no_such_mailbox: false,
                ..
            }
        ));
    }
}
