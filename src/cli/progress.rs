//! A bar on a terminal and plain lines elsewhere, with the waits for arXiv named.

use std::{io::Write, time::Duration};

use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::fetch::Progress;

/// How many cells the bar has.
const CELLS: usize = 24;
/// A bar that changes more often than this only flickers.
const REDRAW: Duration = Duration::from_millis(100);
/// Elsewhere a line at most this often.
const LINE: Duration = Duration::from_secs(30);

/// A display that runs until [`Shown::end`].
#[derive(Debug)]
pub(super) struct Shown {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Shows progress on standard error.
pub(super) fn show(mut progress: watch::Receiver<Progress>) -> Shown {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let is_terminal = super::is_terminal();
    let pause = if is_terminal { REDRAW } else { LINE };
    let task = tokio::spawn(async move {
        // The first half minute passes in silence where nobody watches a terminal.
        let mut first = !is_terminal;
        loop {
            if !std::mem::take(&mut first) {
                let now = progress.borrow_and_update().clone();
                draw(&now, is_terminal);
            }
            tokio::select! {
                () = stopped.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        if is_terminal {
            clear();
        }
    });
    Shown { stop, task }
}

impl Shown {
    /// Takes the display away.
    pub(super) async fn end(self) {
        self.stop.cancel();
        // The task only draws; that it was aborted or panicked changes nothing for the command.
        let _drawn = self.task.await;
    }
}

fn draw(progress: &Progress, is_terminal: bool) {
    if progress.n_total == 0 {
        return;
    }
    let filled = progress.n_done * CELLS / progress.n_total;
    let waiting = progress.waiting.as_ref().map_or_else(String::new, |(until, why)| {
        format!(
            "; waiting for arXiv until {}: {}",
            until.format("%H:%M:%S UTC"),
            why.chars().take(60).collect::<String>()
        )
    });
    let keyword: String = progress.keyword.chars().filter(|c| !c.is_control()).take(40).collect();
    let words = format!("{}/{} {keyword}{waiting}", progress.n_done, progress.n_total);
    if is_terminal {
        eprint!("\r\x1b[K[{}{}] {words}", "█".repeat(filled), "·".repeat(CELLS - filled));
        // A terminal that is gone cannot be told so.
        let _gone = std::io::stderr().flush();
    } else {
        eprintln!("fetching {words}");
    }
}

fn clear() {
    eprint!("\r\x1b[K");
    let _gone = std::io::stderr().flush();
}
