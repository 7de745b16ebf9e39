//! What ARCHITECTURE.md promises about the code, read from the code.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Modules by level, the lowest first: a module uses only modules of a lower level.
const LEVELS: [&[&str]; 15] = [
    &["model", "clock"],
    &["tex", "token", "schedule", "standing", "metrics"],
    &["matching"],
    &["arxiv", "digest"],
    &["render"],
    &["mail", "store"],
    &["fetch", "roster"],
    &["run", "delivery", "export", "report"],
    &["config"],
    &["app", "telemetry"],
    &["admin"],
    &["http"],
    &["daemon"],
    &["demo"],
    &["cli"],
];

/// Modules that work on values alone: no input, no output, no waiting.
const PURE: [&str; 6] = ["model", "tex", "schedule", "matching", "arxiv", "digest"];

/// What a pure module must not name.
const IMPURE: [&str; 8] = [
    "tokio",
    "reqwest",
    "lettre",
    "sled::",
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
];

/// Libraries that are named in few modules, so that another could take their place there.
const FENCED: [(&str, &[&str]); 9] = [
    ("tokio_postgres::", &["store"]),
    ("deadpool_postgres::", &["store"]),
    // `app` names our own `store::sled` within a group of imports.
    ("sled::", &["store", "app"]),
    // The configuration checks addresses with it.
    ("lettre::", &["mail", "config"]),
    // The demonstration and the export write feeds with it.
    ("quick_xml::", &["arxiv", "demo", "export"]),
    ("tokio_cron_scheduler::", &["daemon"]),
    ("clap::", &["cli"]),
    // The demonstration plays arXiv with it.
    ("axum::", &["http", "demo"]),
    ("prometheus_client::", &["metrics", "http"]),
];

#[test]
fn every_module_stands_in_the_table_of_levels() {
    let declared: Vec<String> = code(&root().join("src/lib.rs"))
        .lines()
        .filter_map(|line| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned()))
        .collect();
    assert!(declared.len() >= 18, "lib.rs declares modules: {declared:?}");
    for module in &declared {
        assert!(level(module).is_some(), "src/lib.rs: {module} has no level");
    }
}

#[test]
fn imports_point_downwards() {
    let mut violations = Vec::new();
    let mut n_uses = 0;
    for (module, path) in sources() {
        let text = code(&path);
        for used in used_modules(&text) {
            n_uses += 1;
            let allowed = match (level(&used), level(&module)) {
                (Some(below), Some(here)) => below < here || used == module,
                // `crate::Something` that is no module of the table.
                _ => false,
            };
            if !allowed {
                violations.push(format!("{}: {module} uses {used}", path.display()));
            }
        }
    }
    assert!(
        n_uses > 150,
        "only {n_uses} uses were found: is the reader of this test still right?"
    );
    assert!(
        violations.is_empty(),
        "imports that point upwards or sideways:\n{}",
        violations.join("\n")
    );
}

#[test]
fn pure_modules_do_no_input_or_output() {
    let mut violations = Vec::new();
    for (module, path) in sources()
        .into_iter()
        .filter(|(module, _)| PURE.contains(&module.as_str()))
    {
        let text = code(&path);
        for name in IMPURE.iter().filter(|name| text.contains(**name)) {
            violations.push(format!("{}: {module} names {name}", path.display()));
        }
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn a_fenced_library_is_named_only_in_its_modules() {
    let mut violations = Vec::new();
    for (library, owners) in FENCED {
        let mut n_files = 0;
        for (module, path) in sources() {
            let text = code(&path);
            // `store::sled::` is our own module of that name.
            let is_named = text.match_indices(library).any(|(at, _)| {
                let before = text[..at].trim_end_matches("::");
                before.len() == at && !before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
            });
            if !is_named {
                continue;
            }
            n_files += 1;
            if !owners.contains(&module.as_str()) {
                violations.push(format!("{}: {module} names {library}", path.display()));
            }
        }
        assert!(n_files > 0, "{library} is named nowhere");
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn no_file_names_the_machine_that_it_was_written_on() {
    // Put together here, so that this file does not find itself.
    let places = [["/ro", "ot/"], ["/wor", "k/"], ["/tmp", "/h/"], ["/ho", "me/"]].map(|parts| parts.concat());
    let mut found = Vec::new();
    let mut n_files = 0;
    for path in files_below(&root(), &["target", "state", "outbox", "demo-output"]) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        n_files += 1;
        for (number, line) in (1..).zip(text.lines()) {
            if places.iter().any(|place| line.contains(place.as_str())) {
                found.push(format!("{}:{number}: {}", path.display(), line.trim()));
            }
        }
    }
    assert!(n_files > 150, "only {n_files} files were read");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn level(module: &str) -> Option<usize> {
    LEVELS.iter().position(|modules| modules.contains(&module))
}

/// Every source file of the library that is compiled into the program, with the module it belongs to.
fn sources() -> Vec<(String, PathBuf)> {
    let src = root().join("src");
    let test_files = test_only_files(&src);
    files_below(&src, &[])
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter(|path| !test_files.iter().any(|test_file| path.starts_with(test_file)))
        .filter_map(|path| {
            let first = path.strip_prefix(&src).ok()?.iter().next()?.to_str()?;
            let module = first.strip_suffix(".rs").unwrap_or(first).to_owned();
            (module != "lib" && module != "main").then_some((module, path))
        })
        .collect()
}

/// Files and folders of modules that are declared below `#[cfg(test)]`.
fn test_only_files(src: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for path in files_below(src, &[]) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let folder = match path.file_stem().and_then(|stem| stem.to_str()) {
            Some("mod" | "lib") | None => path.parent().unwrap_or(src).to_owned(),
            Some(_) => path.with_extension(""),
        };
        let mut is_test = false;
        for line in text.lines() {
            if let Some((_, rest)) = line.split_once("mod ").filter(|_| is_test)
                && let Some(name) = rest.strip_suffix(';')
            {
                found.insert(folder.join(format!("{name}.rs")));
                found.insert(folder.join(name));
            }
            is_test = line.trim() == "#[cfg(test)]";
        }
    }
    found
}

/// The text of a source file without comments and without its tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file can be read");
    text.lines()
        .take_while(|line| *line != "mod tests {")
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The modules that follow `crate::`, alone or in a group of any depth.
fn used_modules(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (at, word) in code.match_indices("crate::") {
        // `pub(crate)` has no colons; `some_crate::` is another word.
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + word.len()..];
        match rest.strip_prefix('{') {
            None => used.extend(leading_name(rest)),
            Some(group) => used.extend(top_level(group).into_iter().filter_map(leading_name)),
        }
    }
    used
}

/// The items of a group of imports, up to its closing brace.
fn top_level(group: &str) -> Vec<&str> {
    let (mut items, mut depth, mut begin) = (Vec::new(), 0_usize, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(&group[begin..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&group[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    items
}

fn leading_name(path: &str) -> Option<String> {
    let path = path.trim();
    let end = path
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(path.len());
    (end > 0).then(|| path[..end].to_owned())
}

/// All files below a folder in the order of their names, without hidden folders and those in `skipped`.
pub(crate) fn files_below(folder: &Path, skipped: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return found;
    };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if path.is_dir() && !path.is_symlink() {
            if name != ".git" && !skipped.contains(&&*name) {
                found.extend(files_below(&path, skipped));
            }
        } else {
            found.push(path);
        }
    }
    found.sort_unstable();
    found
}

#[test]
fn groups_of_imports_are_read_to_their_first_names() {
    let check = |code: &str, expected: &[&str]| {
        let used: Vec<String> = used_modules(code).into_iter().collect();
        assert_eq!(used, expected, "{code}");
    };
    check("use crate::tex;", &["tex"]);
    check("let x = crate::tex::to_text(y);", &["tex"]);
    check(
        "use crate::{\n    app::{App, Exit},\n    config::{self, b::{c, d}},\n};",
        &["app", "config"],
    );
    check("pub(crate) fn x() { my_crate::y() }", &[]);
}
