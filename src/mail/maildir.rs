//! Mail as files in a Maildir: the transport that needs no account, and the box that bounces are read from.
//!
//! A file's name is made from the letter's date and Message-ID, so a repeated delivery after a crash replaces the file in
//! `new` instead of adding one. Only when a reader has moved the first copy on can there be a second, and it carries the
//! same Message-ID.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest};

use crate::model::{Outcome, Stage};

/// Bytes of the Message-ID's hash in a file name.
const NAME_HASH_BYTES: usize = 12;
/// Characters of the host in a file name.
const NAME_HOST_MAX: usize = 100;

/// Writes one message and reports like a relay: accepted means on disk and visible in `new`.
///
/// Folders are made when absent, for this user only. It blocks for as long as the disk needs (three fsyncs): call it where
/// blocking is allowed.
pub fn deliver(maildir: &Path, message: &[u8], message_id: &str, date: DateTime<Utc>) -> Outcome {
    let name = file_name(message_id, date);
    let temporary = maildir.join("tmp").join(format!("{name}.{}", std::process::id()));
    let written = prepare(maildir).and_then(|()| write(&temporary, message));
    let moved = written.and_then(|()| fs::rename(&temporary, maildir.join("new").join(&name)));
    if let Err(error) = moved {
        // The rest of a failed attempt is of no use; if it cannot be removed, readers do so after 36 hours.
        drop(fs::remove_file(&temporary));
        return refused(maildir, &error);
    }
    match sync(&maildir.join("new")) {
        Ok(()) => Outcome::Accepted {
            reply: format!("written to {} as {name}", maildir.display()),
        },
        Err(error) => Outcome::Unconfirmed {
            reply: format!(
                "{name} is in {}, but may not survive a power failure: {error}",
                maildir.display()
            ),
        },
    }
}

/// The name under which a message is filed: `TIME.HASH.HOST`, where HOST is the Message-ID's domain, so that it is the
/// same on every machine that delivers it.
pub fn file_name(message_id: &str, date: DateTime<Utc>) -> String {
    let hash = digest(&SHA256, message_id.as_bytes());
    let hex: String = hash.as_ref()[..NAME_HASH_BYTES]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let domain = message_id
        .trim_end_matches('>')
        .rsplit_once('@')
        .map_or("localhost", |(_, domain)| domain);
    // Neither `/` nor `:` may stand in a name; nothing but what a domain holds does.
    let host: String = domain
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
        .take(NAME_HOST_MAX)
        .collect();
    format!("{}.{hex}.{host}", date.timestamp())
}

/// The messages that nobody has read, oldest name first, at most `limit`; none when the Maildir does not exist yet.
pub fn unread(maildir: &Path, limit: usize) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(maildir.join("new")) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() && !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    paths.truncate(limit);
    Ok(paths)
}

/// Moves a message that [`unread`] gave from `new` to `cur` and marks it as seen.
pub fn mark_read(maildir: &Path, message: &Path) -> io::Result<()> {
    let Some(name) = message.file_name() else {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "the path of a message ends in its name",
        ));
    };
    create_dir(&maildir.join("cur"))?;
    let mut name = name.to_owned();
    if !name.as_encoded_bytes().contains(&b':') {
        name.push(":2,S");
    }
    fs::rename(message, maildir.join("cur").join(name))
}

fn prepare(maildir: &Path) -> io::Result<()> {
    ["tmp", "new", "cur"]
        .iter()
        .try_for_each(|part| create_dir(&maildir.join(part)))
}

fn create_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    // The new folder's own entry must survive a power failure as well.
    path.parent().map_or(Ok(()), sync)
}

fn write(path: &Path, message: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(message)?;
    file.sync_all()
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A full disk passes, wrong rights do not: both are told, neither is the recipient's fault.
fn refused(maildir: &Path, error: &io::Error) -> Outcome {
    let folder = maildir.display();
    match error.kind() {
        ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::NotADirectory
        | ErrorKind::NotFound
        | ErrorKind::InvalidFilename
        | ErrorKind::CrossesDevices => Outcome::Configuration {
            stage: Stage::Body,
            reply: format!("cannot write to the Maildir {folder}: {error}; make it writable, or set another `maildir`"),
        },
        _ => Outcome::TransientRelay {
            stage: Stage::Body,
            reply: format!("cannot write to the Maildir {folder}: {error}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use chrono::TimeZone as _;

    use super::*;

    const ID: &str = "<pr1.abc@example.org>";

    fn date() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 11, 5, 7, 0, 9).unwrap()
    }

    fn files(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_message_appears_in_new_readable_by_its_owner_only() {
        let scratch = tempfile::tempdir().unwrap();
        let maildir = scratch.path().join("deep/outbox");
        let outcome = deliver(&maildir, b"From: a\r\n\r\nx\r\n", ID, date());
        assert!(
            matches!(&outcome, Outcome::Accepted { reply } if reply.contains("outbox")),
            "{outcome:?}"
        );
        let name = file_name(ID, date());
        assert_eq!(files(&maildir.join("new")), [name.as_str()]);
        assert!(files(&maildir.join("tmp")).is_empty() && files(&maildir.join("cur")).is_empty());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&maildir.join("new")), 0o700);
        assert_eq!(mode(&maildir.join("new").join(&name)), 0o600);
        assert_eq!(
            fs::read(maildir.join("new").join(&name)).unwrap(),
            b"From: a\r\n\r\nx\r\n"
        );
    }

    #[test]
    fn a_repeated_delivery_replaces_its_file() {
        let scratch = tempfile::tempdir().unwrap();
        for _ in 0..3 {
            deliver(scratch.path(), b"same", ID, date());
        }
        deliver(scratch.path(), b"other", "<pr1.def@example.org>", date());
        assert_eq!(files(&scratch.path().join("new")).len(), 2);
    }

    #[test]
    fn names_hold_neither_slash_nor_colon() {
        for id in [
            ID,
            "<a/b:c@../../etc>",
            "",
            "@",
            "<x@é:/\0>",
            &format!("<x@{}>", "y".repeat(500)),
        ] {
            let name = file_name(id, date());
            assert!(name.starts_with("1793862009.") && name.len() < 200, "{name}");
            assert!(!name.contains(['/', ':', '\0']), "{name}");
        }
        assert!(file_name(ID, date()).ends_with(".example.org"));
    }

    #[test]
    fn a_place_that_cannot_be_written_is_a_matter_of_configuration() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("file");
        fs::write(&file, "x").unwrap();
        for place in [file.as_path(), Path::new("/proc/outbox")] {
            let outcome = deliver(place, b"x", ID, date());
            assert!(matches!(outcome, Outcome::Configuration { .. }), "{outcome:?}");
        }
        let outcome = refused(Path::new("outbox"), &ErrorKind::StorageFull.into());
        assert!(
            matches!(outcome, Outcome::TransientRelay { stage: Stage::Body, .. }),
            "{outcome:?}"
        );
        let outcome = refused(Path::new("outbox"), &ErrorKind::PermissionDenied.into());
        assert!(matches!(outcome, Outcome::Configuration { .. }), "{outcome:?}");
    }

    #[test]
    fn a_failed_move_leaves_nothing_behind() {
        // A folder cannot be replaced by a file: the rename fails after the file was written.
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir_all(scratch.path().join("new").join(file_name(ID, date()))).unwrap();
        let outcome = deliver(scratch.path(), b"x", ID, date());
        assert!(matches!(outcome, Outcome::TransientRelay { .. }), "{outcome:?}");
        assert!(files(&scratch.path().join("tmp")).is_empty());
    }

    #[test]
    fn unread_messages_are_listed_once_and_kept_as_read() {
        let scratch = tempfile::tempdir().unwrap();
        assert!(unread(scratch.path(), 10).unwrap().is_empty());
        for id in ["<1@x>", "<2@x>", "<3@x>"] {
            deliver(scratch.path(), b"x", id, date());
        }
        assert_eq!(unread(scratch.path(), 2).unwrap().len(), 2);
        for message in unread(scratch.path(), 10).unwrap() {
            mark_read(scratch.path(), &message).unwrap();
        }
        assert!(unread(scratch.path(), 10).unwrap().is_empty());
        assert_eq!(files(&scratch.path().join("cur")).len(), 3);
        assert!(
            files(&scratch.path().join("cur"))
                .iter()
                .all(|name| name.ends_with(":2,S"))
        );
    }
}
