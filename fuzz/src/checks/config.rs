//! The configuration: it loads, or every problem has a place and words, and a password is never among them.

use std::{cell::RefCell, fs};

use paperround::{
    app,
    config::{Environment, Loaded, Problem, Problems},
};

/// Stands where a password belongs, behind whatever the input is.
const SECRET: &str = "hunter2-hunter2";
/// A problem in words, in bytes: names and quoted values are cut.
const PROBLEM_BYTES_MAX: usize = 4_000;

thread_local! {
    /// The folder in which the file is written anew each time.
    static FOLDER: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) };
}

/// The text of a configuration file.
pub fn config(input: &[u8]) {
    let n_lines = input.iter().filter(|byte| **byte == b'\n').count() + 1;
    match load(input) {
        Ok(loaded) => {
            are_told(&loaded.warnings, n_lines);
            assert!(!loaded.config.subscriber.is_empty() || !loaded.config.group.is_empty());
            let again = load(input).expect("it was loaded a moment ago");
            assert_eq!(again.config.settings, loaded.config.settings);
        }
        Err(Problems(problems)) => {
            assert!(!problems.is_empty());
            are_told(&problems, n_lines);
        }
    }
    let with_password = [input, format!("\npassword = \"{SECRET}\"\n").as_bytes()].concat();
    let shown = match load(&with_password) {
        Ok(loaded) => format!("{:?} {:?}", loaded.warnings, loaded.config),
        Err(problems) => problems.to_string(),
    };
    // A value that the input has opened and not closed holds it as part of another text.
    assert!(!shown.contains(SECRET), "a password is shown: {shown}");
}

fn load(text: &[u8]) -> Result<Loaded, Problems> {
    FOLDER.with_borrow_mut(|folder| {
        let folder = folder.get_or_insert_with(|| tempfile::tempdir().expect("a temporary folder"));
        let path = folder.path().join("config.toml");
        fs::write(&path, text).expect("the temporary folder can be written to");
        app::load_config(&path, &Environment::default())
    })
}

#[track_caller]
fn are_told(problems: &[Problem], n_lines: usize) {
    for problem in problems {
        assert!(problem.place.line <= n_lines, "{problem}");
        assert!(!problem.what.is_empty());
        let words = problem.to_string();
        assert!(words.len() <= PROBLEM_BYTES_MAX, "{} bytes: {words}", words.len());
        assert!(!words.contains(|c: char| c.is_control() && c != '\n'), "{words:?}");
    }
}
