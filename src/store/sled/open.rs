//! Opening a folder: who else has it, what a crash left behind, and whether all of it can be read.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

use super::{
    FormerLife,
    disk::note_commit,
    panic_text, report,
    table::{COMMIT_KEY, Fault, Plan, SCHEMA_KEY, Table, Tables},
    verbs,
};
use crate::{
    model::LeaseEnd,
    store::{
        StoreError,
        schema::{self, SCHEMA_VERSION, Unreadable},
    },
};

/// How much of the file sled keeps in memory, in bytes. Its own default is 1 GB.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// How often a lock that is held is tried again.
const LOCK_POLL: Duration = Duration::from_millis(50);
/// How long the reading of everything at the start may take before it is given up as good enough.
const SCAN_TIME_MAX: Duration = Duration::from_secs(20);
/// After this long what is only kept is left: of ten thousand subscribers it is ten times all the rest.
const KEPT_SCAN_TIME_MAX: Duration = Duration::from_millis(300);
/// How many quarantined folders of one second are told apart.
const QUARANTINE_NAMES_MAX: u32 = 100;

/// Held for as long as the store is open.
const LOCK_FILE: &str = "lock";
/// The file of sled that holds everything.
const DB_FILE: &str = "db";
/// Holds the number of the last acknowledged commit, outside sled.
const WITNESS_FILE: &str = "last-commit";
/// Is there when something could not be read: at the next start nothing is left unread.
const SUSPECT_FILE: &str = "suspect";

/// An open store, for its owner thread.
pub(super) struct Opening {
    pub(super) tables: Tables,
    pub(super) lock: File,
    pub(super) created: bool,
    pub(super) repaired: Option<String>,
    pub(super) former_life: FormerLife,
}

/// Opens the store in `dir`, waiting up to `lock_wait` for another process to end.
pub(super) fn open(dir: &Path, now: DateTime<Utc>, lock_wait: Duration) -> Result<Opening, StoreError> {
    let deadline = Instant::now() + lock_wait;
    prepare_folder(dir)?;
    let lock = lock(dir, deadline)?;
    let (db, mut repaired) = open_sled(dir, deadline)?;
    let opened = catch_unwind(AssertUnwindSafe(|| finish(dir, now, db)));
    let (tables, created, former_life, mend) = match opened {
        Ok(finished) => finished?,
        Err(panic) => return Err(damaged(dir, &format!("reading it panicked ({})", panic_text(&*panic)))),
    };
    if let Some(mend) = mend {
        repaired = Some(repaired.map_or(mend.clone(), |former| format!("{former}; {mend}")));
    }
    Ok(Opening {
        tables,
        lock,
        created,
        repaired,
        former_life,
    })
}

/// Renames a store's folder to `corrupt-TIME` beside it, so that a new one can begin and nothing is thrown away.
///
/// Returns the new path. The folder must not be open: one that is gives [`io::ErrorKind::ResourceBusy`].
pub(super) fn quarantine(dir: &Path, now: DateTime<Utc>) -> io::Result<PathBuf> {
    // Held until the folder has its new name.
    let _lock = match OpenOptions::new().write(true).open(dir.join(LOCK_FILE)) {
        Ok(file) => match file.try_lock() {
            Ok(()) => Some(file),
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::ResourceBusy.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let name = format!("corrupt-{}", now.format("%Y%m%dT%H%M%SZ"));
    let target = (1..=QUARANTINE_NAMES_MAX)
        .map(|n| match n {
            1 => dir.with_file_name(&name),
            n => dir.with_file_name(format!("{name}-{n}")),
        })
        .find(|target| !target.exists())
        .ok_or(io::ErrorKind::AlreadyExists)?;
    fs::rename(dir, &target)?;
    sync_folder(target.parent())?;
    Ok(target)
}

/// Makes sure that the folder is there, ours alone, and can be written: before anything else is done.
fn prepare_folder(dir: &Path) -> Result<(), StoreError> {
    let unusable = |error: &io::Error| io_error(dir, "written", error);
    let is_new = !dir.exists();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| unusable(&error))?;
    if is_new {
        sync_folder(dir.parent()).map_err(|error| unusable(&error))?;
    }
    let mode = fs::metadata(dir)
        .map_err(|error| unusable(&error))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(|error| unusable(&error))?;
    }
    let probe = dir.join("probe");
    fs::write(&probe, b"probe\n")
        .and_then(|()| fs::remove_file(&probe))
        .map_err(|error| io_error(&probe, "written", &error))?;
    // A state that once was written by another user is found here, not in the middle of a run.
    let db = dir.join(DB_FILE);
    match OpenOptions::new().read(true).write(true).open(&db) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io_error(&db, "written", &error)),
    }
}

fn lock(dir: &Path, deadline: Instant) -> Result<File, StoreError> {
    let path = dir.join(LOCK_FILE);
    let file = create(&path).map_err(|error| io_error(&path, "opened", &error))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOCK_POLL),
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(dir.display().to_string())),
            Err(TryLockError::Error(error)) => return Err(io_error(&path, "opened", &error)),
        }
    }
}

/// Opens or creates a file that is not emptied.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Opens sled, once more without its snapshots if they are in the way. Returns what was mended.
fn open_sled(dir: &Path, deadline: Instant) -> Result<(::sled::Db, Option<String>), StoreError> {
    // A snapshot that was being written when the process died keeps sled 0.34 from opening for ever. Snapshots
    // only save time: everything is in the log. We hold the lock, so nobody is writing one.
    let unfinished = snapshots(dir, |name| name.ends_with(".generating"))?;
    for path in &unfinished {
        fs::remove_file(path).map_err(|error| io_error(path, "written", &error))?;
    }
    let what = match try_sled(dir, deadline) {
        Ok(db) => return Ok((db, None)),
        Err(Trouble::Damage(what)) => what,
        Err(trouble) => return Err(trouble.into_error(dir)),
    };
    let whole = snapshots(dir, |name| !name.ends_with(".generating"))?;
    if whole.is_empty() {
        return Err(damaged(dir, &what));
    }
    for path in &whole {
        // sled takes everything for a snapshot whose name begins with `snap.`.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        fs::rename(path, path.with_file_name(format!("aside-{name}")))
            .map_err(|error| io_error(path, "written", &error))?;
    }
    match try_sled(dir, deadline) {
        Ok(db) => {
            let mend = format!("its snapshot was set aside, because sled could not open with it ({what})");
            Ok((db, Some(mend)))
        }
        // After a panic sled may have left its lock behind in this process: still the same damage.
        Err(Trouble::Locked) => Err(damaged(dir, &what)),
        Err(trouble) => Err(trouble.into_error(dir)),
    }
}

fn snapshots(dir: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, StoreError> {
    let entries = fs::read_dir(dir).map_err(|error| io_error(dir, "read", &error))?;
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| io_error(dir, "read", &error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("snap.") && wanted(&name) {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

enum Trouble {
    Locked,
    Io(io::Error),
    Damage(String),
}

impl Trouble {
    fn into_error(self, dir: &Path) -> StoreError {
        match self {
            Self::Locked => StoreError::InUse(dir.display().to_string()),
            Self::Io(error) => io_error(dir, "opened", &error),
            Self::Damage(what) => damaged(dir, &what),
        }
    }
}

fn try_sled(dir: &Path, deadline: Instant) -> Result<::sled::Db, Trouble> {
    let config = ::sled::Config::new().path(dir).cache_capacity(CACHE_BYTES);
    loop {
        // A log that was cut inside a live segment makes sled panic instead of returning an error.
        let error = match catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(Ok(db)) => return Ok(db),
            Ok(Err(error)) => error,
            Err(panic) => {
                return Err(Trouble::Damage(format!(
                    "opening it panicked ({})",
                    panic_text(&*panic)
                )));
            }
        };
        match error {
            // Our own lock keeps other processes out; this is sled in this process, not done with closing.
            ::sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => {
                if Instant::now() >= deadline {
                    return Err(Trouble::Locked);
                }
                std::thread::sleep(LOCK_POLL);
            }
            ::sled::Error::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(Trouble::Io(error)),
            error => return Err(Trouble::Damage(error.to_string())),
        }
    }
}

type Finished = (Tables, bool, FormerLife, Option<String>);

/// All that follows once sled itself is open.
fn finish(dir: &Path, now: DateTime<Utc>, db: ::sled::Db) -> Result<Finished, StoreError> {
    let wrong = |fault: Fault| match fault {
        Fault::Unreadable(Unreadable(what)) => damaged(dir, &what),
        Fault::Sled {
            error: error @ (::sled::Error::Corruption { .. } | ::sled::Error::ReportableBug(_)),
            ..
        } => damaged(dir, &error.to_string()),
        fault => report(&dir.display().to_string(), fault),
    };
    let db_path = dir.join(DB_FILE);
    let db_file = create(&db_path).map_err(|error| io_error(&db_path, "opened", &error))?;
    let mut tables = Tables::open(db, db_file).map_err(|error| wrong(Fault::reading(error)))?;
    let witnessed = read_witness(dir)?;
    let mut mend = None;

    let number = |key| -> Result<Option<u64>, Fault> {
        let value = tables.get(Table::Meta, key)?;
        Ok(value.map(|value| schema::decode_number(&value)).transpose()?)
    };
    let schema = number(SCHEMA_KEY).map_err(wrong)?;
    let n_commits = number(COMMIT_KEY).map_err(wrong)?.unwrap_or(0);
    let created = schema.is_none();
    if let Some(found) = schema {
        check_schema(dir, found)?;
    } else if witnessed != Witnessed::Absent || Table::ALL.iter().any(|table| !tables.tree(*table).is_empty()) {
        return Err(damaged(
            dir,
            "the state was in use before, but nothing of it is there any more",
        ));
    }
    match witnessed {
        Witnessed::Commit(last) if last > n_commits => {
            let what = format!(
                "its end is missing: {last} changes were acknowledged, {n_commits} are there (if this is an older \
                 copy that was put back on purpose, delete {} to accept it as it is)",
                dir.join(WITNESS_FILE).display()
            );
            return Err(damaged(dir, &what));
        }
        Witnessed::Commit(_) => {}
        Witnessed::Absent if created => {}
        Witnessed::Absent | Witnessed::Unreadable => mend = Some(format!("{WITNESS_FILE} was written anew")),
    }

    let suspect = dir.join(SUSPECT_FILE);
    let kept_time_max = if suspect.exists() {
        SCAN_TIME_MAX
    } else {
        KEPT_SCAN_TIME_MAX
    };
    if scan(&tables, kept_time_max).map_err(wrong)? && suspect.exists() {
        fs::remove_file(&suspect).map_err(|error| io_error(&suspect, "written", &error))?;
    }
    let witness_path = dir.join(WITNESS_FILE);
    let unwritable = |error: io::Error| io_error(&witness_path, "written", &error);
    // The witness begins after the first commit, so that it never speaks of a store that is not there.
    if created {
        let mut plan = Plan::new(&tables);
        plan.put_value(
            Table::Meta,
            SCHEMA_KEY.to_vec(),
            schema::encode_number(u64::from(SCHEMA_VERSION)),
        );
        let writes = plan.into_writes();
        tables.apply(&writes).map_err(wrong)?;
        tables.make_durable().map_err(wrong)?;
        sync_folder(Some(dir)).map_err(|error| io_error(dir, "written", &error))?;
    }
    let witness = create(&witness_path).map_err(unwritable)?;
    let n_commits = n_commits + u64::from(created);
    note_commit(&witness, n_commits).map_err(unwritable)?;
    tables.witness(witness, n_commits);
    sync_folder(Some(dir)).map_err(|error| io_error(dir, "written", &error))?;

    let mut former_life = FormerLife::default();
    for (id, end) in verbs::end_leases(&mut tables, now).map_err(wrong)? {
        match end {
            LeaseEnd::Unsent => former_life.unsent.push(id),
            LeaseEnd::Unconfirmed => former_life.unconfirmed.push(id),
            LeaseEnd::Held => former_life.held.push(id),
        }
    }
    tables.make_durable().map_err(wrong)?;
    Ok((tables, created, former_life, mend))
}

fn check_schema(dir: &Path, found: u64) -> Result<(), StoreError> {
    match u32::try_from(found) {
        Ok(SCHEMA_VERSION) => Ok(()),
        Ok(found) if found > SCHEMA_VERSION => Err(StoreError::TooNew {
            place: dir.display().to_string(),
            found,
            known: SCHEMA_VERSION,
        }),
        _ => Err(damaged(dir, &format!("it has the unknown schema version {found}"))),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Witnessed {
    Absent,
    Unreadable,
    Commit(u64),
}

fn read_witness(dir: &Path) -> Result<Witnessed, StoreError> {
    const WITNESS_BYTES_MAX: u64 = 64;
    let path = dir.join(WITNESS_FILE);
    let mut text = String::new();
    let read = File::open(&path).and_then(|file| file.take(WITNESS_BYTES_MAX).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(text.trim().parse().map_or(Witnessed::Unreadable, Witnessed::Commit)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Witnessed::Absent),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Witnessed::Unreadable),
        Err(error) => Err(io_error(&path, "read", &error)),
    }
}

/// Notes that something in the store could not be read, so that the next start looks for it before anything else.
pub(super) fn note_suspicion(dir: &Path) {
    let suspect = dir.join(SUSPECT_FILE);
    if let Err(error) = create(&suspect) {
        tracing::warn!("{} cannot be written ({error})", suspect.display());
    }
}

/// Reads everything once: sled notices a damaged page only when it is read, and it must not be in the middle of a run.
/// What is only kept (digests that are over, papers) is read for `kept_time_max`. Returns whether all was read.
pub(super) fn scan(tables: &Tables, kept_time_max: Duration) -> Result<bool, Fault> {
    let began = Instant::now();
    // What would be missed most comes first. The first error ends the walk: sled's iterator does not get past one.
    for table in [
        Table::Meta,
        Table::Document,
        Table::Subscriber,
        Table::Due,
        Table::Outbox,
        Table::Chunk,
        Table::Paper,
    ] {
        let time_max = match table {
            Table::Outbox | Table::Chunk | Table::Paper => kept_time_max,
            Table::Meta | Table::Document | Table::Subscriber | Table::Due => SCAN_TIME_MAX,
        };
        for pair in tables.tree(table) {
            if began.elapsed() >= time_max {
                tracing::info!(
                    store.table = table.as_str(),
                    "the state is large: at the start it was read for {time_max:?} only"
                );
                return Ok(false);
            }
            let (key, value) = pair.map_err(Fault::reading)?;
            match table {
                Table::Meta => _ = schema::decode_number(&value)?,
                Table::Chunk => _ = schema::chunk_content(&value)?,
                Table::Due => _ = verbs::indexed_entry(tables, &key)?,
                Table::Subscriber => _ = schema::decode_subscriber(&tables.whole(table, &key, &value)?.body)?,
                Table::Document => _ = schema::decode_document(&tables.whole(table, &key, &value)?.body)?,
                Table::Paper => _ = tables.whole(table, &key, &value)?,
                Table::Outbox => {
                    let body = tables.whole(table, &key, &value)?.body;
                    // Most are only kept, and inflating them takes most of the time.
                    if schema::is_kept(&body) {
                        continue;
                    }
                    let entry = schema::decode_entry(&body)?;
                    let id = &entry.digest.id;
                    if entry.is_active() && tables.get(Table::Due, &schema::due_key(entry.due_at(), id))?.is_none() {
                        return Err(
                            Unreadable(format!("outbox entry {id} is missing in the index of due entries")).into(),
                        );
                    }
                }
            }
        }
    }
    Ok(true)
}

fn sync_folder(dir: Option<&Path>) -> io::Result<()> {
    match dir {
        Some(dir) if !dir.as_os_str().is_empty() => File::open(dir)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn io_error(path: &Path, doing: &'static str, error: &io::Error) -> StoreError {
    StoreError::Io {
        place: path.display().to_string(),
        doing,
        why: error.to_string(),
    }
}

pub(super) fn damaged(dir: &Path, what: &str) -> StoreError {
    StoreError::Damaged {
        place: dir.display().to_string(),
        what: what.to_owned(),
    }
}
