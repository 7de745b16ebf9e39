//! Further files: patterns such as `subscribers.d/*.toml`, and which files they name.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    problems::{Place, Sink, quote},
    section::Section,
};

/// The most files that one configuration may consist of.
const FILES_MAX: usize = 1_000;

/// The files that `include` names, in the order of the patterns and of the names under each, without repetition.
pub(super) fn find_included(root: &Section<'_>, config_dir: &Path) -> Included {
    let mut included = Included {
        is_whole: true,
        ..Included::default()
    };
    for (pattern, place) in root.strings("include").unwrap_or_default() {
        let found = find(&pattern, &place, config_dir, root.sink());
        included.is_whole &= found.is_whole;
        included.dirs.extend(found.dirs);
        for file in found.files {
            if !included.files.contains(&file) {
                included.files.push(file);
            }
        }
        if included.files.len() > FILES_MAX {
            root.sink().refuse(
                &place,
                format!("names more than {FILES_MAX} files"),
                "join some of them",
            );
            included.files.truncate(FILES_MAX);
            break;
        }
    }
    included.dirs.sort_unstable();
    included.dirs.dedup();
    included
}

/// What the patterns name.
#[derive(Debug, Default)]
pub(super) struct Included {
    /// The files to read.
    pub(super) files: Vec<PathBuf>,
    /// The folders in which new files may appear.
    pub(super) dirs: Vec<PathBuf>,
    /// Whether every pattern could be followed.
    pub(super) is_whole: bool,
}

fn find(pattern: &str, place: &Place, config_dir: &Path, sink: &Sink) -> Included {
    let path = config_dir.join(pattern);
    let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        sink.refuse(
            place,
            format!("{} names no file", quote(pattern)),
            "write \"subscribers.d/*.toml\"",
        );
        return Included::default();
    };
    let is_pattern = |text: &str| text.contains(['*', '?']);
    if dir.to_str().is_some_and(is_pattern) && !config_dir.to_str().is_some_and(is_pattern) {
        let what = format!("{} has a wildcard in the name of a folder", quote(pattern));
        sink.refuse(place, what, "only the file's name may have one: name each folder");
        return Included::default();
    }
    if !is_pattern(name) {
        return Included {
            files: vec![path.clone()],
            dirs: Vec::new(),
            is_whole: true,
        };
    }
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            let what = format!("the folder {} cannot be read ({error})", dir.display());
            sink.refuse(place, what, "make the folder or remove the pattern");
            return Included::default();
        }
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_str().is_some_and(|file| fits(name, file)))
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort_unstable();
    if files.is_empty() {
        sink.warn(
            place,
            format!("{} names no file", quote(pattern)),
            "add one, or check the spelling",
        );
    }
    Included {
        files,
        dirs: vec![dir.to_owned()],
        is_whole: true,
    }
}

/// Whether the name fits the pattern, in which `*` is any text and `?` any one character.
///
/// A name that begins with a dot fits only a pattern that does: editors keep their copies under such names.
fn fits(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last star stands, and how far into the name it has been stretched.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((star_p, star_n)) => {
                    star = Some((star_p, star_n + 1));
                    p = star_p + 1;
                    n = star_n + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_stand_for_text() {
        let check = |pattern: &str, name: &str, expected: bool| {
            assert_eq!(fits(pattern, name), expected, "{pattern:?} and {name:?}");
        };
        check("*.toml", "a.toml", true);
        check("*.toml", ".toml", false);
        check("*.toml", ".a.toml", false);
        check(".*.toml", ".a.toml", true);
        check("*.toml", "a.toml~", false);
        check("*.toml", "a.toml.bak", false);
        check("a*b*c.toml", "aXbYbZc.toml", true);
        check("team-?.toml", "team-ä.toml", true);
        check("team-?.toml", "team-12.toml", false);
        check("*", "x", true);
        check("**", "", true);
        check("?", "", false);
    }
}
