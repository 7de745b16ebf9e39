//! What was written → on the disk, on a thread of its own: while the disk is waited for, the owner reads and writes on.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{Arc, OnceLock, mpsc},
    thread::JoinHandle,
};

/// What may not be on the disk yet.
#[derive(Debug)]
pub(super) struct Unsynced {
    /// sled's file. sled 0.34's flush only starts the writing (`sync_file_range`), so that the data are on the disk only
    /// after an `fdatasync` on a handle of our own.
    pub(super) db_file: Arc<File>,
    /// Journals on which a mail depends.
    pub(super) journals: Vec<Arc<File>>,
    /// How many commits there were.
    pub(super) n_commits: u64,
    /// Where that number is noted beside sled.
    pub(super) witness: Option<Arc<File>>,
}

impl Unsynced {
    /// Waits until all of it is on the disk. All files at once: one after the other takes up to three times as long.
    pub(super) fn sync(&self) -> io::Result<()> {
        std::thread::scope(|scope| {
            let mut others = Vec::with_capacity(self.journals.len());
            for journal in &self.journals {
                others.push(std::thread::Builder::new().spawn_scoped(scope, || journal.sync_data())?);
            }
            let stored = self.db_file.sync_data();
            others.into_iter().try_for_each(|other| {
                let panicked = |_| Err(io::Error::other("the thread that waits for the journal panicked"));
                other.join().unwrap_or_else(panicked)
            })?;
            stored
        })?;
        match &self.witness {
            Some(witness) => note_commit(witness, self.n_commits),
            None => Ok(()),
        }
    }

    /// Both this and what was written after it.
    fn with(mut self, later: Self) -> Self {
        self.journals.extend(later.journals);
        self.journals.dedup_by(|one, other| Arc::ptr_eq(one, other));
        Self {
            journals: self.journals,
            ..later
        }
    }
}

/// Notes the number of the last durable commit, so that a lost end of sled's log is noticed at the next start.
///
/// This is not synced: the note may lag behind after a power cut, but never runs ahead of what is durable.
pub(super) fn note_commit(witness: &File, n_commits: u64) -> io::Result<()> {
    witness.write_all_at(format!("{n_commits:020}\n").as_bytes(), 0)
}

/// The first failure of the database or the disk: doing what, and why. After it, nothing is done any more.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) doing: &'static str,
    pub(super) why: String,
}

/// Answers a caller once what he has written is on the disk, or has failed.
pub(super) type Waiting = Box<dyn FnOnce(Result<(), Failure>) + Send>;

/// The thread that waits for the disk.
#[derive(Debug)]
pub(super) struct Disk {
    requests: mpsc::Sender<(Unsynced, Vec<Waiting>)>,
    thread: JoinHandle<()>,
}

impl Disk {
    /// Starts it. `sync` does the waiting; its first failure is kept in `failure`.
    pub(super) fn start(
        failure: Arc<OnceLock<Failure>>,
        sync: impl Fn(&Unsynced) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let (requests, queue) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("store-disk".into())
            .spawn(move || wait_for_disk(&queue, &failure, sync))?;
        Ok(Self { requests, thread })
    }

    /// Has all of `unsynced` brought to the disk, and then answers who waits for it.
    pub(super) fn sync(&self, unsynced: Unsynced, waiting: Vec<Waiting>) {
        // If the thread has panicked, the callers learn it from the end of their channels.
        drop(self.requests.send((unsynced, waiting)));
    }

    /// Waits until everything asked for is done.
    pub(super) fn finish(self) {
        drop(self.requests);
        if self.thread.join().is_err() {
            tracing::error!("the thread that waits for the disk panicked");
        }
    }
}

fn wait_for_disk(
    queue: &mpsc::Receiver<(Unsynced, Vec<Waiting>)>,
    failure: &OnceLock<Failure>,
    sync: impl Fn(&Unsynced) -> io::Result<()>,
) {
    while let Ok((mut unsynced, mut waiting)) = queue.recv() {
        for (later, others) in queue.try_iter() {
            unsynced = unsynced.with(later);
            waiting.extend(others);
        }
        let result = match failure.get() {
            Some(before) => Err(Failure {
                doing: before.doing,
                why: failed_before(&before.why),
            }),
            None => sync(&unsynced).map_err(|error| {
                let doing = "written";
                let why = error.to_string();
                failure.get_or_init(|| Failure { doing, why }).clone()
            }),
        };
        for answer in waiting {
            answer(result.clone());
        }
    }
}

/// Why nothing is done after a failure.
pub(super) fn failed_before(why: &str) -> String {
    format!("it failed before ({why}); restart the service once that is mended")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unsynced(n_commits: u64) -> Unsynced {
        let file = Arc::new(tempfile::tempfile().unwrap());
        Unsynced {
            journals: vec![Arc::clone(&file)],
            db_file: file,
            n_commits,
            witness: None,
        }
    }

    /// A caller who tells what he was answered, with his number.
    fn waiting(number: u32, answers: &mpsc::Sender<(u32, bool)>) -> Vec<Waiting> {
        let answers = answers.clone();
        vec![Box::new(move |result| answers.send((number, result.is_ok())).unwrap())]
    }

    #[test]
    fn who_comes_while_the_disk_is_waited_for_shares_the_next_sync() {
        let (begin, begun) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let disk = Disk::start(Arc::default(), move |unsynced: &Unsynced| {
            begin.send((unsynced.n_commits, unsynced.journals.len())).unwrap();
            released.recv().unwrap()
        })
        .unwrap();
        let (answers, answered) = mpsc::channel();
        disk.sync(unsynced(1), waiting(1, &answers));
        assert_eq!(begun.recv().unwrap(), (1, 1));
        disk.sync(unsynced(2), waiting(2, &answers));
        disk.sync(unsynced(3), Vec::new());
        disk.sync(unsynced(4), waiting(4, &answers));
        assert!(
            answered.try_recv().is_err(),
            "nobody is answered before the disk has it"
        );
        release.send(Ok(())).unwrap();
        assert_eq!(answered.recv().unwrap(), (1, true));
        assert_eq!(begun.recv().unwrap(), (4, 3));
        release.send(Ok(())).unwrap();
        disk.finish();
        assert_eq!(answered.try_iter().collect::<Vec<_>>(), [(2, true), (4, true)]);
    }

    #[test]
    fn after_a_failure_nobody_is_told_that_something_is_on_the_disk() {
        let failure = Arc::<OnceLock<Failure>>::default();
        let disk = Disk::start(Arc::clone(&failure), |unsynced: &Unsynced| match unsynced.n_commits {
            1 => Err(io::Error::from_raw_os_error(5)),
            _ => panic!("a sync that must not be tried: the kernel forgets which pages it could not write"),
        })
        .unwrap();
        let (answers, answered) = mpsc::channel();
        disk.sync(unsynced(1), waiting(1, &answers));
        assert_eq!(answered.recv().unwrap(), (1, false));
        disk.sync(unsynced(2), waiting(2, &answers));
        assert_eq!(answered.recv().unwrap(), (2, false));
        disk.finish();
        assert!(failure.get().unwrap().why.contains("os error 5"));
    }

    #[test]
    fn the_number_of_commits_is_noted_once_they_are_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("witness");
        let witness = Arc::new(File::create(&path).unwrap());
        let synced = Unsynced {
            witness: Some(witness),
            ..unsynced(7)
        };
        synced.sync().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "00000000000000000007\n");
    }
}
