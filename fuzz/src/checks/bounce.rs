//! Mails that come back: whatever they claim is bounded, and only a failed recipient counts against anybody.

use paperround::mail::bounce::{self, Action, BouncedRecipient, Complaint, Dsn, UnsubscribeRequest, Verdict, Weight};

/// Bytes of a text that is kept as evidence: 500 characters, and an ellipsis.
const EVIDENCE_BYTES_MAX: usize = 4 * 501;
const RECIPIENTS_MAX: usize = 50;
const TOKEN_MAX: usize = 80;

/// One mail from a mailbox that everybody can write to.
pub fn bounce(input: &[u8]) {
    let verdict = bounce::read(input);
    assert_eq!(verdict, bounce::read(input));
    match verdict {
        Verdict::Dsn(dsn) => {
            is_sound(&dsn);
            assert!(
                dsn.recipients
                    .iter()
                    .any(|recipient| recipient.action == Action::Failed)
            );
        }
        Verdict::Delayed(dsn) => {
            is_sound(&dsn);
            assert!(
                dsn.recipients
                    .iter()
                    .all(|recipient| recipient.weight() == Weight::None)
            );
        }
        Verdict::Complaint(Complaint {
            kind,
            address,
            envelope_token,
            link_token,
            original_message_id,
        }) => {
            assert!(!kind.is_empty());
            [Some(kind), address, original_message_id].iter().for_each(is_evidence);
            [envelope_token, link_token].iter().for_each(is_token);
        }
        Verdict::Unsubscribe(UnsubscribeRequest { token, from, subject }) => {
            is_token(&token);
            [from, Some(subject)].iter().for_each(is_evidence);
        }
        Verdict::AutoReply | Verdict::Unknown => {}
    }
}

fn is_sound(dsn: &Dsn) {
    assert!((1..=RECIPIENTS_MAX).contains(&dsn.recipients.len()));
    is_token(&dsn.envelope_token);
    is_evidence(&dsn.original_message_id);
    for recipient in &dsn.recipients {
        let BouncedRecipient {
            address,
            action,
            status,
            diagnostic,
        } = recipient;
        [Some(address.clone()), Some(diagnostic.clone())]
            .iter()
            .for_each(is_evidence);
        assert!(*action == Action::Failed || recipient.weight() == Weight::None);
        assert!(status.is_some() || recipient.weight() == Weight::None);
    }
}

#[track_caller]
fn is_evidence(text: &Option<String>) {
    if let Some(text) = text {
        super::is_line(text, EVIDENCE_BYTES_MAX);
    }
}

#[track_caller]
fn is_token(token: &Option<String>) {
    if let Some(token) = token {
        assert!((1..=TOKEN_MAX).contains(&token.len()));
        assert!(
            token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.'),
            "{token:?}"
        );
    }
}
