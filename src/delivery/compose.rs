//! A stored digest → the bytes of its mail: the same bytes for every attempt.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write as _,
    sync::Arc,
};

use ring::digest::{SHA256, digest as sha256};

use crate::{
    mail::{
        dkim::{DkimError, Signer},
        message::{self, Letter, ListHeaders, Mailbox, MessageError},
    },
    model::{Definition, DigestRecord, Paper, VersionedId},
    render::{Marks, PersonalLinks, RenderError, Renderer},
    roster::Lexicon,
    store::{Store, StoreError},
    token::{Keys, Scope},
};

/// Who sends, and how a reader can leave.
#[derive(Debug, Clone)]
pub struct Sender {
    /// Name and address in `From`.
    pub from: Mailbox,
    /// Where replies go.
    pub reply_to: Option<Mailbox>,
    /// The list's lasting identifier (RFC 2919), `papers.example.org`.
    pub list_id: String,
    /// Its name.
    pub list_label: String,
    /// The bulk sender's constant name in `Feedback-ID`, 5 to 15 characters.
    pub feedback_sender: String,
    /// The address of the web part, without a slash at the end.
    pub public_url: Option<String>,
    /// The mailbox that takes requests to leave.
    pub unsubscribe_address: Option<String>,
    /// Where to write about the service.
    pub owner: Option<String>,
}

/// Makes mails out of stored digests.
#[derive(Debug)]
pub struct Composer {
    /// The templates.
    pub renderer: Arc<Renderer>,
    /// Makes tokens and boundaries.
    pub keys: Arc<Keys>,
    /// Who sends.
    pub sender: Sender,
    /// Signs, where configured.
    pub signer: Option<Signer>,
}

/// One mail, ready for the relay.
#[derive(Debug, Clone)]
pub struct Composed {
    /// The message, with CRLF.
    pub bytes: Vec<u8>,
    /// Its subject, for the log and for previews.
    pub subject: String,
    /// The text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// SHA-256 of `bytes`, in hexadecimal.
    pub sha256: String,
}

/// Why a digest could not be made into a mail.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// The text of a paper is gone.
    #[error("the text of {0} is not stored any more")]
    PaperMissing(String),
    /// A template failed.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The message could not be built.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The message could not be signed.
    #[error(transparent)]
    Dkim(#[from] DkimError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Composer {
    /// Composes one digest with the papers that the store holds.
    pub async fn compose(
        &self,
        store: &dyn Store,
        record: &DigestRecord,
        message_id: &str,
    ) -> Result<Composed, ComposeError> {
        let ids: Vec<VersionedId> =
            record.papers().map(|paper| VersionedId { id: paper.id.clone(), version: paper.version }).collect();
        let mut papers = HashMap::new();
        for (id, stored) in ids.iter().zip(store.papers(&ids).await?) {
            let stored = stored.ok_or_else(|| ComposeError::PaperMissing(id.to_string()))?;
            papers.insert(id.clone(), Arc::new(stored.paper));
        }
        self.compose_with(record, message_id, &papers)
    }

    /// Composes one digest with the given papers. Pure.
    pub fn compose_with(
        &self,
        record: &DigestRecord,
        message_id: &str,
        papers: &HashMap<VersionedId, Arc<Paper>>,
    ) -> Result<Composed, ComposeError> {
        let definitions: BTreeSet<Definition> =
            record.keywords.iter().map(|(_, term)| Definition::unrestricted(term.clone())).collect();
        let (lexicon, _) = Lexicon::new(&definitions);
        let marks = |paper: &Paper| {
            let reading = lexicon.read(paper);
            Marks::of(record.keywords.iter().filter_map(|(_, term)| reading.found(term)))
        };
        let links = self.links(record);
        let rendered = self.renderer.render(record, &|id: &VersionedId| papers.get(id).cloned(), &marks, &links)?;
        let letter = self.letter(record, message_id, &links, &rendered);
        let unsigned = message::build(&letter)?;
        let bytes = match &self.signer {
            Some(signer) => signer.sign(&unsigned, record.frozen_at)?,
            None => unsigned,
        };
        let sha256 = hex(sha256(&SHA256, &bytes).as_ref());
        Ok(Composed { bytes, subject: rendered.subject, text: rendered.text, html: rendered.html, sha256 })
    }

    /// What a reader can follow in their own mail. A list's address gets no token links: one member could
    /// sign everybody off.
    pub fn links(&self, record: &DigestRecord) -> PersonalLinks {
        let web = self.sender.public_url.as_ref().filter(|_| !record.shared);
        let subscriber = &record.id.subscriber;
        PersonalLinks {
            unsubscribe_url: web.map(|url| format!("{url}/u/{}", self.keys.sign(Scope::Unsubscribe, subscriber))),
            unsubscribe_mailto: self.sender.unsubscribe_address.as_ref().map(|address| {
                if record.shared {
                    format!("mailto:{address}?subject=unsubscribe")
                } else {
                    let token = self.keys.sign_envelope(subscriber);
                    match address.split_once('@') {
                        Some((local, domain)) => format!("mailto:{local}+{token}@{domain}?subject=unsubscribe"),
                        None => format!("mailto:{address}?subject=unsubscribe"),
                    }
                }
            }),
            view_url: web.map(|url| format!("{url}/d/{}", self.keys.sign_digest(Scope::View, &record.id))),
        }
    }

    fn letter(
        &self,
        record: &DigestRecord,
        message_id: &str,
        links: &PersonalLinks,
        rendered: &crate::render::Rendered,
    ) -> Letter {
        let sender = &self.sender;
        Letter {
            from: sender.from.clone(),
            to: Mailbox::new(record.name.as_deref(), record.address.clone()),
            reply_to: sender.reply_to.clone(),
            subject: rendered.subject.clone(),
            date: record.frozen_at,
            message_id: message_id.to_owned(),
            boundary: self.keys.boundary(&record.id),
            text: rendered.text.clone(),
            html: Some(rendered.html.clone()),
            list: Some(ListHeaders {
                label: sender.list_label.clone(),
                id: sender.list_id.clone(),
                unsubscribe_https: links.unsubscribe_url.clone(),
                unsubscribe_mailto: links.unsubscribe_mailto.clone(),
                one_click: links.unsubscribe_url.is_some(),
                feedback_id: Some(format!("daily:papers:digest:{}", sender.feedback_sender)),
                help: sender.public_url.clone(),
                owner: sender.owner.as_ref().map(|address| format!("mailto:{address}")),
            }),
        }
    }

    /// A fingerprint of everything outside the record that enters the bytes.
    pub fn fingerprint(&self) -> String {
        let signer = self.signer.as_ref().map(|signer| signer.dns_records());
        let outside = format!("{} {:?} {:?} {}", env!("CARGO_PKG_VERSION"), self.sender, signer, self.renderer.fingerprint());
        hex(&sha256(&SHA256, outside.as_bytes()).as_ref()[..16])
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
