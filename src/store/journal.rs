//! What must not be forgotten even if the store is: a file beside it to which each commit first appends what an export
//! of yesterday cannot know.
//!
//! That is: each digest whose message is about to be sent, with all that it holds; what became of it; the papers' text;
//! suppressions and the gate's pauses; who was forgotten, and who is paused until when. Together with the export that was made when the file began, it tells after the
//! loss of a store who has which paper. A line is a checksum and JSON, so that damage shows line by line.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Arc,
};

use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::{Batch, DocumentKind};
use crate::model::{DigestId, EntryState, OutboxEntry, Paper, SubscriberId};

/// How much of a line's hash stands before it, in bytes.
const SUM_BYTES: usize = 8;
/// The longest line that is read, in bytes: an entry with all its papers and attempts has a tenth of that.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line {
    /// The message of this digest may go out from now on.
    Begun { entry: Box<OutboxEntry> },
    /// What became of it.
    Became {
        digest: DigestId,
        #[serde(flatten)]
        state: EntryState,
        n_unconfirmed: u32,
    },
    /// A paper's text, so that a digest that shows it can be made again.
    Paper { paper: Box<Paper>, fetched: DateTime<Utc> },
    /// A document as it was written; `None`: deleted.
    Document {
        kind: String,
        key: String,
        value: Option<serde_json::Value>,
    },
    /// All about this subscriber was deleted.
    Forgotten { subscriber: SubscriberId },
    /// This subscriber is paused until then; `None`: no longer.
    Paused {
        subscriber: SubscriberId,
        until: Option<DateTime<Utc>>,
    },
}

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    file: Arc<File>,
    /// Who is paused, as export and journal tell it so far.
    paused: Pauses,
    /// A mail depends on something that may not be on the disk yet.
    must_last: bool,
}

/// Until when each paused subscriber gets nothing.
pub(super) type Pauses = BTreeMap<SubscriberId, DateTime<Utc>>;

impl Journal {
    /// Opens or begins the file, at a moment at which these are `paused`. A line that a crash cut off is ended, so that the next one stands alone.
    pub(super) fn open(path: &Path, paused: Pauses) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        if file.metadata()?.len() > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
            }
        }
        file.sync_all()?;
        Ok(Self {
            file: Arc::new(file),
            paused,
            must_last: false,
        })
    }

    /// Appends what a batch says. If a mail depends on it, [`Journal::take_unsynced`] gives the file to bring it to the
    /// disk.
    pub(super) fn note(&mut self, batch: &Batch) -> io::Result<()> {
        let mut text = Vec::new();
        for (paper, fetched) in &batch.papers {
            let line = Line::Paper {
                paper: Box::new(paper.clone()),
                fetched: *fetched,
            };
            push(&mut text, &line)?;
        }
        for entry in &batch.entries {
            let entry = &entry.value;
            let line = match &entry.state {
                EntryState::Leased(lease) if lease.data_begun => {
                    self.must_last = true;
                    Line::Begun {
                        entry: Box::new(entry.clone()),
                    }
                }
                EntryState::Leased(_) => continue,
                EntryState::Due if entry.n_attempts == 0 => continue,
                EntryState::Due | EntryState::Held | EntryState::Accepted { .. } | EntryState::Ended { .. } => {
                    Line::Became {
                        digest: entry.digest.id.clone(),
                        state: entry.state.clone(),
                        n_unconfirmed: entry.n_unconfirmed,
                    }
                }
            };
            push(&mut text, &line)?;
        }
        for document in &batch.documents {
            let document = &document.value;
            self.must_last |= document.kind == DocumentKind::Suppression;
            if matches!(document.kind, DocumentKind::Suppression | DocumentKind::Gate) {
                let line = Line::Document {
                    kind: document.kind.as_str().to_owned(),
                    key: document.key.clone(),
                    value: document.value.clone(),
                };
                push(&mut text, &line)?;
            }
        }
        for state in &batch.subscribers {
            let (subscriber, until) = (state.value.id.clone(), state.value.paused_until);
            if self.paused.get(&subscriber).copied() == until {
                continue;
            }
            self.must_last = true;
            match until {
                Some(until) => _ = self.paused.insert(subscriber.clone(), until),
                None => _ = self.paused.remove(&subscriber),
            }
            push(&mut text, &Line::Paused { subscriber, until })?;
        }
        for subscriber in &batch.subscribers_deleted {
            self.must_last = true;
            let subscriber = subscriber.clone();
            self.paused.remove(&subscriber);
            push(&mut text, &Line::Forgotten { subscriber })?;
        }
        if !text.is_empty() {
            (&*self.file).write_all(&text)?;
        }
        Ok(())
    }

    /// The file, if a mail depends on something in it that nobody is bringing to the disk.
    pub(super) fn take_unsynced(&mut self) -> Option<Arc<File>> {
        std::mem::take(&mut self.must_last).then(|| Arc::clone(&self.file))
    }
}

fn push(text: &mut Vec<u8>, line: &Line) -> io::Result<()> {
    let json = serde_json::to_string(line)?;
    text.extend(sum(&json).as_bytes());
    text.push(b' ');
    text.extend(json.as_bytes());
    text.push(b'\n');
    Ok(())
}

fn sum(json: &str) -> String {
    let hash = digest(&SHA256, json.as_bytes());
    hash.as_ref()[..SUM_BYTES]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// What journals tell, the last word on each thing.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Digests whose message may have gone out.
    pub(super) digests: BTreeMap<DigestId, Fate>,
    /// Papers as they were stored.
    pub(super) papers: Vec<(Paper, DateTime<Utc>)>,
    /// Documents.
    pub(super) documents: BTreeMap<(DocumentKind, String), Option<serde_json::Value>>,
    /// Until when subscribers are paused whose pause was changed.
    pub(super) paused: BTreeMap<SubscriberId, Option<DateTime<Utc>>>,
    /// Subscribers who were forgotten.
    pub(super) forgotten: BTreeSet<SubscriberId>,
    /// Lines that cannot be read.
    pub(super) n_unreadable: usize,
}

/// What is known of one digest.
#[derive(Debug, Default)]
pub(super) struct Fate {
    /// The digest as it was when its message last went out.
    pub(super) begun: Option<OutboxEntry>,
    /// What became of it after that, and how many attempts were unconfirmed by then.
    pub(super) became: Option<(EntryState, u32)>,
}

impl Told {
    /// Reads one more journal, which began after those read before.
    pub(super) fn read(&mut self, path: &Path) -> io::Result<()> {
        let mut reader = BufReader::new(File::open(path)?);
        let mut line = Vec::new();
        loop {
            line.clear();
            if reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            match parse(&line) {
                Some(line) => self.take(line),
                // An empty line only ends one that a crash cut off.
                None if line == b"\n" => {}
                None => self.n_unreadable += 1,
            }
        }
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Begun { entry } => {
                let fate = self.digests.entry(entry.digest.id.clone()).or_default();
                fate.begun = Some(*entry);
                fate.became = None;
            }
            Line::Became {
                digest,
                state,
                n_unconfirmed,
            } => self.digests.entry(digest).or_default().became = Some((state, n_unconfirmed)),
            Line::Paper { paper, fetched } => self.papers.push((*paper, fetched)),
            Line::Document { kind, key, value } => {
                if let Some(kind) = DocumentKind::ALL.into_iter().find(|known| known.as_str() == kind) {
                    self.documents.insert((kind, key), value);
                }
            }
            Line::Forgotten { subscriber } => {
                self.digests.retain(|id, _| id.subscriber != subscriber);
                self.paused.remove(&subscriber);
                self.forgotten.insert(subscriber);
            }
            Line::Paused { subscriber, until } => _ = self.paused.insert(subscriber, until),
        }
    }
}

fn parse(line: &[u8]) -> Option<Line> {
    let text = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (found, json) = text.split_once(' ')?;
    if found != sum(json) {
        return None;
    }
    serde_json::from_str(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Ending, SubscriberState, WorkerId},
        store::{
            Versioned,
            contract::{at, document, entry},
        },
    };

    fn batch(entry: &OutboxEntry) -> Batch {
        Batch {
            entries: vec![Versioned::new(entry.clone())],
            ..Batch::default()
        }
    }

    #[test]
    fn a_pause_is_noted_when_it_changes_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("since");
        let id = |name: &str| SubscriberId(name.into());
        let write = |journal: &mut Journal, name: &str, until| {
            let mut state = SubscriberState::new(id(name));
            state.paused_until = until;
            let batch = Batch {
                subscribers: vec![Versioned::new(state)],
                ..Batch::default()
            };
            journal.note(&batch).unwrap();
        };
        let size = || std::fs::metadata(&path).unwrap().len();
        let mut journal = Journal::open(&path, [(id("bo"), at(9))].into()).unwrap();
        write(&mut journal, "ana", None);
        write(&mut journal, "bo", Some(at(9)));
        assert_eq!(size(), 0);
        write(&mut journal, "ana", Some(at(5)));
        let once = size();
        assert!(once > 0);
        write(&mut journal, "ana", Some(at(5)));
        assert_eq!(size(), once);
        write(&mut journal, "bo", None);
        let mut told = Told::default();
        told.read(&path).unwrap();
        let expected = [(id("ana"), Some(at(5))), (id("bo"), None)];
        assert_eq!(told.paused, expected.into());
    }

    #[test]
    fn the_last_word_on_each_digest_comes_back_and_damage_shows_line_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("since");
        let mut journal = Journal::open(&path, Pauses::new()).unwrap();
        let mut ana = entry("ana#1", at(0));
        journal.note(&batch(&ana)).unwrap();
        ana.lease(&WorkerId("w".into()), at(9));
        journal.note(&batch(&ana)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"", "nothing went out yet");
        ana.begin_data();
        journal.note(&batch(&ana)).unwrap();
        let mut bo = entry("bo#4", at(0));
        bo.lease(&WorkerId("w".into()), at(9));
        bo.begin_data();
        journal.note(&batch(&bo)).unwrap();
        bo.state = EntryState::Ended {
            at: at(1),
            how: Ending::Returned,
        };
        journal.note(&batch(&bo)).unwrap();
        let value = Some(serde_json::json!({"reason": "unsubscribed"}));
        journal
            .note(&Batch {
                documents: vec![
                    document(DocumentKind::Suppression, "cy@example.net", value.clone(), 0),
                    document(DocumentKind::Note, "other", value, 0),
                ],
                subscribers_deleted: vec![SubscriberId("dai".into())],
                ..Batch::default()
            })
            .unwrap();
        drop(journal);
        let mut told = Told::default();
        told.read(&path).unwrap();
        assert_eq!(told.n_unreadable, 0);
        assert_eq!(told.digests[&ana.digest.id].begun.as_ref(), Some(&ana));
        assert!(told.digests[&ana.digest.id].became.is_none());
        assert_eq!(told.digests[&bo.digest.id].became, Some((bo.state.clone(), 0)));
        assert_eq!(told.documents.len(), 1);
        assert!(told.forgotten.contains(&SubscriberId("dai".into())));

        // A line that was cut off, one that was changed, and one more after them.
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[40] ^= 1;
        bytes.truncate(bytes.len() - 5);
        std::fs::write(&path, &bytes).unwrap();
        let mut journal = Journal::open(&path, Pauses::new()).unwrap();
        journal.note(&batch(&ana)).unwrap();
        let mut told = Told::default();
        told.read(&path).unwrap();
        assert_eq!(told.n_unreadable, 2);
        assert_eq!(told.digests.len(), 2);
        assert!(told.digests[&ana.digest.id].begun.is_some());
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
