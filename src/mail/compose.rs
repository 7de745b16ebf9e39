//! A stored digest → the bytes of its mail: the same bytes for every attempt.

use std::{
    cell::OnceCell,
    collections::{BTreeSet, HashMap},
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest as sha256};

use super::{
    dkim::{DkimError, Signer},
    message::{self, Letter, ListHeaders, Mailbox, MessageError},
};
use crate::{
    matching::Lexicon,
    model::{Definition, DigestId, DigestRecord, Paper, PaperRecord, SubscriberId, Term, VersionedId},
    render::{Body, Fitted, Marks, Notice, PersonalLinks, RenderError, Rendered, Renderer, Sources},
    token::{Keys, Scope},
};

/// The text of the papers that a digest names.
pub type Papers = HashMap<VersionedId, Arc<Paper>>;

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
    /// A page about the service, if there is one.
    pub help_url: Option<String>,
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
    /// Where keywords stand in papers, found before.
    pub known: KnownMarks,
}

/// How many pairs of paper and keyword are remembered; beyond that all are sought anew.
const MARKS_MAX: usize = 50_000;

/// Where keywords stand in papers: many readers have the same keyword and get the same papers.
#[derive(Debug, Default)]
pub struct KnownMarks(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    papers: HashMap<VersionedId, MarkedPaper>,
    /// Pairs of paper and keyword.
    n_marks: usize,
}

/// A paper's text and where each keyword stands in it.
type MarkedPaper = (Arc<Paper>, HashMap<Term, Marks>);

impl KnownMarks {
    /// Where any of `terms` stands in a paper; `find` finds each of them.
    fn of(&self, paper: &Arc<Paper>, terms: &[&Term], find: impl Fn(&Paper) -> Vec<Marks>) -> Marks {
        let id = paper.versioned_id();
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = Marks::default();
        let mut add = |marks: &Marks| {
            all.title.extend(marks.title.iter().cloned());
            all.abstract_text.extend(marks.abstract_text.iter().cloned());
        };
        let is_known = {
            let mut known = lock();
            let of_paper = known.papers.get_mut(&id).filter(|(of, _)| of == paper);
            let known: Option<Vec<&Marks>> = of_paper.and_then(|(of, marks)| {
                // Asked for again, it is seen to be the same by its address.
                of.clone_from(paper);
                terms.iter().map(|term| marks.get(*term)).collect()
            });
            known.map(|known| known.into_iter().for_each(&mut add)).is_some()
        };
        if !is_known {
            let found = find(paper);
            let mut known = lock();
            if known.n_marks >= MARKS_MAX {
                *known = Known::default();
            }
            known.n_marks += terms.len();
            let fresh = || (Arc::clone(paper), HashMap::new());
            let of_paper = known.papers.entry(id).or_insert_with(fresh);
            if of_paper.0 != *paper {
                *of_paper = fresh();
            }
            for (term, marks) in terms.iter().zip(found) {
                add(&marks);
                of_paper.1.insert((*term).clone(), marks);
            }
        }
        all
    }
}

/// One mail, ready for the relay.
#[derive(Debug, Clone)]
pub struct Composed {
    /// The message, with CRLF.
    pub bytes: Vec<u8>,
    /// Its subject, for the log and for previews.
    pub subject: String,
    /// The text part.
    pub text: Body,
    /// The HTML part.
    pub html: Body,
    /// SHA-256 of `bytes`, in hexadecimal.
    pub sha256: String,
}

/// Why a digest could not be made into a mail.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// The text of a paper is gone.
    #[error("the text of {0} is not stored any more")]
    PaperMissing(VersionedId),
    /// A template failed.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The message could not be built.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The message could not be signed.
    #[error(transparent)]
    Dkim(#[from] DkimError),
}

impl Composer {
    /// Composes one digest. Pure: the same record and papers give the same bytes.
    pub fn compose(&self, record: &DigestRecord, message_id: &str, papers: &Papers) -> Result<Composed, ComposeError> {
        if let Some(missing) = record
            .papers()
            .map(PaperRecord::versioned_id)
            .find(|id| !papers.contains_key(id))
        {
            return Err(ComposeError::PaperMissing(missing));
        }
        let links = self.links(record);
        let rendered = self.with_sources(record, papers, |sources| self.renderer.render(record, sources, &links))?;
        if let Some(problem) = &rendered.fell_back {
            tracing::error!(why = %problem, "a template failed; the built-in one was used");
        }
        let letter = self.letter(record, message_id, &links, &rendered);
        let unsigned = message::build(&letter)?;
        let bytes = match &self.signer {
            Some(signer) => signer.sign(&unsigned, record.frozen_at)?,
            None => unsigned,
        };
        let sha256 = hex(sha256(&SHA256, &bytes).as_ref());
        Ok(Composed {
            bytes,
            subject: rendered.subject,
            text: rendered.text,
            html: rendered.html,
            sha256,
        })
    }

    /// A digest for the browser: the HTML of its mail, without the links that act for the subscriber.
    ///
    /// People hand such a page on, and whoever has it must not be able to sign them off. A paper whose text is not stored any more is
    /// shown by its identifier and link.
    ///
    /// # Errors
    /// The built-in templates fail on it, which is a mistake in the program.
    pub fn web_page(&self, record: &DigestRecord, papers: &Papers) -> Result<String, RenderError> {
        let links = PersonalLinks::default();
        let page = self.with_sources(record, papers, |sources| self.renderer.render(record, sources, &links))?;
        Ok(with_landmark(page.html.to_string()))
    }

    /// A mail that is no digest, such as a test or a report: its Message-ID and its signed bytes.
    ///
    /// `purpose` and the moment make the Message-ID unique.
    pub fn notice(
        &self,
        purpose: &str,
        to: Mailbox,
        notice: &Notice,
        at: DateTime<Utc>,
    ) -> Result<(String, Vec<u8>), ComposeError> {
        let rendered = self.renderer.notice(notice, at)?;
        if let Some(problem) = &rendered.fell_back {
            tracing::error!(why = %problem, "a template failed; the built-in one was used");
        }
        let from = &self.sender.from;
        let domain = from
            .address
            .rsplit_once('@')
            .map_or("localhost.invalid", |(_, domain)| domain);
        // No real digest has this number.
        let subscriber = SubscriberId(format!("{purpose} {} {}", to.address, at.timestamp_millis()).into());
        let message_id = self.keys.message_id(&DigestId { subscriber, number: 0 }, domain);
        let letter = Letter::notice(
            from.clone(),
            to,
            rendered.subject,
            (rendered.text, Some(rendered.html)),
            at,
            message_id.clone(),
        );
        let unsigned = message::build(&letter)?;
        let bytes = match &self.signer {
            Some(signer) => signer.sign(&unsigned, at)?,
            None => unsigned,
        };
        Ok((message_id, bytes))
    }

    /// Cuts a digest to the size that mail programs show whole, before it is enqueued.
    pub fn fit(&self, record: DigestRecord, papers: &Papers) -> Result<Fitted, RenderError> {
        let links = self.links(&record);
        self.with_sources(&record.clone(), papers, |sources| {
            self.renderer.fit(record, sources, &links)
        })
    }

    /// What a reader can follow in their own mail. A list's address gets no token links: one member could
    /// sign everybody off.
    pub fn links(&self, record: &DigestRecord) -> PersonalLinks {
        let web = self.sender.public_url.as_ref().filter(|_| !record.shared);
        let subscriber = &record.id.subscriber;
        PersonalLinks {
            unsubscribe_url: web.map(|url| format!("{url}/u/{}", self.keys.sign(Scope::Unsubscribe, subscriber))),
            unsubscribe_mailto: self.unsubscribe_mailto(record),
            view_url: web.map(|url| format!("{url}/d/{}", self.keys.sign_digest(Scope::View, &record.id))),
        }
    }

    /// How to leave by mail. A mailbox that is read by `bounce` gets the token in its address, which has no room for a
    /// link's; without one a person reads the request, with the token in its subject for `bounce` all the same.
    fn unsubscribe_mailto(&self, record: &DigestRecord) -> Option<String> {
        let subscriber = (!record.shared).then_some(&record.id.subscriber);
        let subject = || {
            let token = subscriber.map(|subscriber| self.keys.sign(Scope::Unsubscribe, subscriber));
            token.map_or_else(String::new, |token| format!("%20{token}"))
        };
        match (&self.sender.unsubscribe_address, &self.sender.owner) {
            (Some(address), _) => Some(match (address.rsplit_once('@'), subscriber) {
                (Some((local, domain)), Some(subscriber)) => {
                    let token = self.keys.sign_leave_address(subscriber);
                    format!("mailto:{local}+{token}@{domain}?subject=unsubscribe")
                }
                _ => format!("mailto:{address}?subject=unsubscribe{}", subject()),
            }),
            (None, Some(owner)) => Some(format!("mailto:{owner}?subject=unsubscribe{}", subject())),
            (None, None) => None,
        }
    }

    fn letter(&self, record: &DigestRecord, message_id: &str, links: &PersonalLinks, rendered: &Rendered) -> Letter {
        let sender = &self.sender;
        // Mail programs send the one click over HTTPS only (RFC 8058, 3.1); a test on loopback goes without.
        let https = links.unsubscribe_url.clone().filter(|url| url.starts_with("https://"));
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
                one_click: https.is_some(),
                unsubscribe_https: https,
                unsubscribe_mailto: links.unsubscribe_mailto.clone(),
                feedback_id: Some(format!("daily:papers:digest:{}", sender.feedback_sender)),
                help: sender.help_url.clone(),
                owner: sender.owner.as_ref().map(|address| format!("mailto:{address}")),
            }),
        }
    }

    /// Papers with the matches of the record's own keywords to mark.
    pub fn with_sources<T>(&self, record: &DigestRecord, papers: &Papers, then: impl FnOnce(&Sources<'_>) -> T) -> T {
        let terms: BTreeSet<&Term> = record.keywords.iter().map(|(_, term)| term).collect();
        let terms: Vec<&Term> = terms.into_iter().collect();
        let lexicon = OnceCell::new();
        let find = |paper: &Paper| -> Vec<Marks> {
            let lexicon = lexicon.get_or_init(|| {
                let definitions: Vec<Definition> = terms
                    .iter()
                    .map(|term| Definition::unrestricted((*term).clone()))
                    .collect();
                Lexicon::new(&definitions).0
            });
            let reading = lexicon.read(paper);
            let marks = terms.iter().map(|term| {
                reading.found(term).map_or_else(Marks::default, |found| Marks {
                    title: found.title.clone(),
                    abstract_text: found.abstract_text.clone(),
                })
            });
            marks.collect()
        };
        then(&Sources {
            papers: &|id| papers.get(id).cloned(),
            marks: &|paper| self.known.of(paper, &terms, find),
        })
    }

    /// A fingerprint of everything outside the record that enters the bytes.
    pub fn fingerprint(&self) -> String {
        let signer = self.signer.as_ref().map(Signer::dns_records);
        let outside = format!(
            "{} {:?} {:?} {}",
            env!("CARGO_PKG_VERSION"),
            self.sender,
            signer,
            self.renderer.fingerprint()
        );
        hex(&sha256(&SHA256, outside.as_bytes()).as_ref()[..16])
    }
}

/// A page whose readers can jump to what it holds. Mail programs keep no such element, so the mail has none.
fn with_landmark(mut html: String) -> String {
    let begin = html
        .find("<body")
        .and_then(|body| Some(body + html[body..].find('>')? + 1));
    let end = html.rfind("</body>");
    if let (Some(begin), Some(end)) = (begin, end)
        && begin <= end
    {
        html.insert_str(end, "</main>\n");
        html.insert_str(begin, "\n<main>");
    }
    html
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string cannot fail.
            let _infallible = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_holds_is_its_main_part() {
        let check = |html: &str, expected: &str| assert_eq!(with_landmark(html.to_owned()), expected);
        check(
            "<html><body class=\"b\"><p>x</p></body></html>",
            "<html><body class=\"b\">\n<main><p>x</p></main>\n</body></html>",
        );
        check("<p>x</p>", "<p>x</p>");
        check("</body><body>", "</body><body>");
    }
}
