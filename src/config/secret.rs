//! Secrets: where they may stand, and how they are read without ever being shown.

use std::{fs, io::Read, path::Path};

use secrecy::SecretString;

/// The largest secret that is read, in bytes.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Reads a secret from a file: one trailing newline is removed, every other byte is kept.
///
/// # Errors
///
/// What is wrong with the file, in words that hold nothing of its content.
pub(super) fn read_secret(path: &Path) -> Result<SecretString, String> {
    let shown = path.display();
    let mut text = String::new();
    fs::File::open(path)
        .and_then(|file| file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => format!("{shown} is not UTF-8"),
            _ => format!("{shown} cannot be read ({error})"),
        })?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        return Err(format!("{shown} is larger than 64 KiB"));
    }
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.trim().is_empty() {
        return Err(format!("{shown} is empty"));
    }
    Ok(SecretString::from(text))
}

/// Whether others than the owner may read the file.
#[cfg(unix)]
pub(super) fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    const GROUP_AND_WORLD_READ: u32 = 0o044;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & GROUP_AND_WORLD_READ != 0)
}

/// Whether others than the owner may read the file: not known here.
#[cfg(not(unix))]
pub(super) fn is_open_to_others(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    /// CASES 102.
    #[test]
    fn one_trailing_newline_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let check = |content: &[u8], expected: Result<&str, &str>| {
            fs::write(&path, content).unwrap();
            match (read_secret(&path), expected) {
                (Ok(secret), Ok(expected)) => assert_eq!(secret.expose_secret(), expected),
                (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
                (found, expected) => panic!("{found:?} instead of {expected:?} for {content:?}"),
            }
        };
        check(b"hunter2\n", Ok("hunter2"));
        check(b"hunter2\r\n", Ok("hunter2"));
        check(b" two words \n\n", Ok(" two words \n"));
        check(br#"ab$C{x}%d#e\f"g"#, Ok(r#"ab$C{x}%d#e\f"g"#));
        check(b"\n", Err("is empty"));
        check(b"", Err("is empty"));
        check(b"\xff\xfe", Err("is not UTF-8"));
        check(&[b'x'; 65_537], Err("larger than 64 KiB"));
    }
}
