//! What may be a name.

use crate::limits::MAX_NAME;

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("a name cannot be empty")]
    Empty,
    /// Longer than [`MAX_NAME`].
    #[error("a name has at most {MAX_NAME} characters, this one has {0}")]
    TooLong(usize),
    /// First character is neither letter nor digit.
    #[error("a name starts with a letter or digit, not with {0:?}")]
    Start(char),
    /// A character outside the set.
    #[error("a name holds letters, digits, '_', '.' and '-' only, not {0:?}")]
    Character(char),
}

/// Checks `[A-Za-z0-9][A-Za-z0-9_.-]{0,62}`: safe as a file name, as part of a QEMU id, and in a shell.
///
/// # Errors
/// The first rule that the name breaks.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let first = name.chars().next().ok_or(NameError::Empty)?;
    if !first.is_ascii_alphanumeric() {
        return Err(NameError::Start(first));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if let Some(c) = name.chars().find(|&c| !allowed(c)) {
        return Err(NameError::Character(c));
    }
    check_length(name)
}

/// The bound alone: what is longer names nothing that there is.
///
/// # Errors
/// [`NameError::TooLong`].
pub fn check_length(name: &str) -> Result<(), NameError> {
    if name.len() > MAX_NAME {
        return Err(NameError::TooLong(name.len()));
    }
    Ok(())
}
