//! What the documents show is what the program does: commands parse, keys exist, examples load.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail with it")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use paperround::{app, config::Environment};

/// The documents for people.
pub(crate) const DOCUMENTS: [&str; 7] = [
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "deploy/README.md",
    "docs/database.md",
    "docs/migration.md",
    "fuzz/README.md",
];

/// Ways of calling the program in the documents, and in the files that are installed.
const PROGRAMS: [&str; 5] = [
    "paperround",
    "paperroundctl",
    "target/release/paperround",
    "/usr/bin/paperround",
    "cargo run --release --",
];

#[test]
fn every_command_that_the_documents_show_parses() {
    let mut n_commands = 0;
    for document in DOCUMENTS {
        let text = read(document);
        let shown = blocks(&text, "sh").into_iter().chain(blocks(&text, ""));
        let commands = shown
            .flat_map(|block| commands_of(&block))
            .chain(inline_commands(&text));
        for command in commands {
            parse(&command, document);
            n_commands += 1;
        }
    }
    assert!(n_commands > 20, "only {n_commands} commands were found");
    for installed in ["deploy/paperround.service", "deploy/install", "config.toml"] {
        let text = read(installed);
        let commands = commands_of(&text).into_iter().chain(inline_commands(&text));
        for command in commands {
            parse(&command, installed);
        }
    }
}

#[test]
fn the_table_of_commands_is_whole() {
    let text = read("README.md");
    let table = section(&text, "## Commands");
    let shown: BTreeSet<String> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|rest| rest.split('`').next())
        .map(str::to_owned)
        .collect();
    let definition = paperround::cli::definition();
    let real: BTreeSet<String> = definition
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(|command| command.get_name().to_owned())
        .collect();
    assert_eq!(shown, real);

    let missing = section(&text, "## What is not there");
    let line = missing.lines().find(|line| line.starts_with("Commands not built yet"));
    for name in line.into_iter().flat_map(|line| line.split('`').skip(1).step_by(2)) {
        assert!(!real.contains(name), "README.md says that {name} is not built yet");
    }
}

#[test]
fn the_table_of_exit_statuses_is_whole() {
    let text = read("README.md");
    let shown: Vec<u8> = section(&text, "## Commands")
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok())
        .collect();
    use app::Exit::{CannotWrite, Configuration, Damaged, Done, Failed, Incomplete, Usage};
    let real = [Done, Failed, Usage, Damaged, CannotWrite, Incomplete, Configuration];
    assert_eq!(shown, real.map(app::Exit::code));
}

#[test]
fn what_the_section_on_missing_mail_quotes_is_what_the_program_says() {
    let mut said = String::new();
    let mut folders = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                said.push_str(&fs::read_to_string(entry).unwrap());
            }
        }
    }
    let text = read("README.md");
    let symptoms = section(&text, "## No mail came")
        .lines()
        .filter_map(|line| line.split(" | ").next());
    let quoted: Vec<&str> = symptoms
        .flat_map(|symptom| symptom.split('"').skip(1).step_by(2))
        .collect();
    assert!(quoted.len() >= 7, "{quoted:?}");
    for words in quoted {
        // What follows is often filled in: the stage, the time.
        let beginning = words.split(' ').take(3).collect::<Vec<_>>().join(" ");
        let beginning = beginning.trim_end_matches([',', '…']);
        assert!(said.contains(beginning), "nothing in src says {beginning:?}");
    }
}

#[test]
fn keys_that_the_documents_name_exist() {
    let known = keys();
    let mut n_keys = 0;
    for document in DOCUMENTS {
        for word in inline(&read(document)) {
            let Some((section, key)) = word.split_once('.') else {
                continue;
            };
            let is_key = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            if !known.contains_key(section) || section.is_empty() || !is_key(key) || is_file(&word) {
                continue;
            }
            n_keys += 1;
            assert!(
                known[section].contains(key),
                "{document}: {word} is no key of config.toml"
            );
        }
    }
    assert!(n_keys > 20, "only {n_keys} keys were found");
}

#[test]
fn examples_of_configuration_load_without_a_warning() {
    let examples = DOCUMENTS.map(|document| blocks(&read(document), "toml")).concat();
    assert!(examples.len() >= 10, "{} examples", examples.len());
    for example in examples {
        load(&completed(&example)).unwrap_or_else(|why| panic!("{why}\nin\n{example}"));
    }
}

#[test]
fn the_shipped_configuration_loads_with_every_default_spelt_out() {
    load(&read("config.toml")).unwrap();
}

/// Loads a configuration as the service would, where the relay's password is there.
fn load(text: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, text).unwrap();
    fs::write(folder.path().join("smtp-password"), "secret\n").unwrap();
    let environment = Environment {
        credentials_directory: Some(folder.path().to_owned()),
        ..Environment::default()
    };
    let loaded = app::load_config(&path, &environment).map_err(|problems| problems.to_string())?;
    match loaded.warnings.first() {
        Some(warning) => Err(warning.to_string()),
        None => Ok(()),
    }
}

/// An example with the parts that it leaves out.
fn completed(example: &str) -> String {
    let mut text = example.to_owned();
    if !text.contains("[mail]") {
        text.push_str("\n[mail]\nfrom = \"papers@example.org\"\n");
    }
    if !text.contains("[[subscriber]]") {
        let named = example
            .split_once("[[keyword]]\nname = \"")
            .and_then(|(_, rest)| rest.split('"').next());
        text.push_str("\n[[subscriber]]\nemail = \"ana@example.net\"\n");
        text.push_str(&format!("keywords = [{:?}]\n", named.unwrap_or("DARTS")));
    }
    text
}

/// The keys of config.toml by section, set or shown behind "#".
fn keys() -> BTreeMap<String, BTreeSet<String>> {
    let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut section = String::new();
    for line in read("config.toml").lines() {
        let line = line.trim_start_matches('#');
        if let Some(name) = line
            .trim_start_matches('[')
            .split(']')
            .next()
            .filter(|_| line.starts_with('['))
        {
            section = name.to_owned();
        } else if let Some((key, _)) = line.split_once(" = ")
            && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        {
            keys.entry(section.clone()).or_default().insert(key.to_owned());
        }
    }
    keys
}

fn parse(command: &[String], document: &str) {
    let definition = paperround::cli::definition();
    // A name alone speaks of the command, `paperround why`, and need not be a whole call.
    if let [name] = command
        && !name.starts_with('-')
    {
        let exists = definition.find_subcommand(name).is_some();
        assert!(exists, "{document} speaks of `paperround {name}`");
        return;
    }
    let arguments = std::iter::once("paperround").chain(command.iter().map(String::as_str));
    let parsed = definition.try_get_matches_from(arguments);
    if let Err(error) = parsed
        && error.use_stderr()
    {
        panic!("{document} shows `paperround {}`: {error}", command.join(" "));
    }
}

/// The arguments of each call of the program in lines of shell, crontab or a unit.
fn commands_of(lines: &str) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    for part in lines.lines().flat_map(|line| line.split("&&")) {
        let part = part.trim();
        let part = part.strip_prefix("ExecStart=").unwrap_or(part);
        let part = part.strip_prefix("ExecReload=").unwrap_or(part);
        let mut words: Vec<&str> = part
            .split_whitespace()
            .take_while(|word| !word.starts_with(['>', '|']))
            .collect();
        if part.starts_with("*/") {
            // Five fields of time, and whose crontab it is.
            words.drain(..6.min(words.len()));
        }
        if words.first() == Some(&"sudo") {
            words.remove(0);
        }
        let line = words.join(" ");
        let arguments = PROGRAMS
            .iter()
            .find_map(|program| line.strip_prefix(program)?.strip_prefix(' '));
        if let Some(arguments) = arguments {
            commands.push(arguments.split(' ').map(str::to_owned).collect());
        }
    }
    commands
}

/// The arguments of each call in running text: `paperround status`.
fn inline_commands(text: &str) -> Vec<Vec<String>> {
    let spoken = text.replace("\n# ", " ");
    inline(&spoken)
        .into_iter()
        .filter_map(|code| {
            let words: Vec<String> = code.split_whitespace().map(str::to_owned).collect();
            let (first, arguments) = words.split_first()?;
            let is_call = (first == "paperround" || first == "paperroundctl") && !arguments.is_empty();
            (is_call && arguments[0] != "…").then(|| arguments.to_vec())
        })
        .collect()
}

/// What stands between single back quotes, outside of blocks.
fn inline(text: &str) -> Vec<String> {
    let mut is_block = false;
    let mut spoken = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
        } else if !is_block {
            spoken.push_str(line);
            spoken.push('\n');
        }
    }
    spoken.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The blocks of a language, without what they are indented by.
pub(crate) fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in text.lines() {
        let trimmed = line.trim_start();
        match (trimmed.strip_prefix("```"), &mut open) {
            (Some(name), None) => open = Some((name == language, String::new())),
            (Some(_), Some(_)) => {
                if let Some((true, block)) = open.take() {
                    found.push(block);
                }
            }
            (None, Some((_, block))) => {
                block.push_str(trimmed);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

/// The text below a heading, up to the next one.
fn section<'t>(text: &'t str, heading: &str) -> &'t str {
    let at = text
        .find(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("no {heading}"));
    let rest = &text[at + heading.len() + 2..];
    &rest[..rest.find("\n## ").unwrap_or(rest.len())]
}

fn is_file(word: &str) -> bool {
    Path::new(word)
        .extension()
        .is_some_and(|extension| ["toml", "md", "rs", "service"].iter().any(|e| extension == *e))
}

pub(crate) fn read(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    for document in DOCUMENTS {
        let text = read(document);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link
                .split_once('#')
                .map_or((link, None), |(file, heading)| (file, Some(heading)));
            let folder = Path::new(document).parent().unwrap();
            let target = if file.is_empty() {
                PathBuf::from(document)
            } else {
                folder.join(file)
            };
            let is_there = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(&target).exists();
            assert!(is_there, "{document}: {link} is not there");
            if let Some(heading) = heading {
                let anchor = |line: &str| line.trim_start_matches(['#', ' ']).to_lowercase().replace(' ', "-");
                let text = read(&target.to_string_lossy());
                let exists = text
                    .lines()
                    .filter(|line| line.starts_with('#'))
                    .any(|line| anchor(line) == heading);
                assert!(exists, "{document}: no heading for {link}");
            }
        }
    }
}
