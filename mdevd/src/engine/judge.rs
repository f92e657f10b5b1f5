//! Whether a profile lets a device be as it is defined.

use policies::{Profile, Shape};

use super::definition::Definition;

/// What of a definition profiles limit.
fn shape(definition: &Definition) -> Shape {
    Shape::from(&definition.spec())
}

/// Judges a definition.
///
/// # Errors
/// Everything that the profile does not let be, with its keys: half a sentence.
pub(super) fn admit(profile: &Profile, definition: &Definition) -> Result<(), String> {
    profile.admit(&shape(definition)).map_err(|refusals| {
        let all: Vec<_> = refusals.into_iter().map(|refusal| refusal.reason).collect();
        all.join("; ")
    })
}

/// Whether everything that a profile does not let be in `to` is so in `from`, too.
pub(super) fn no_worse(profile: &Profile, from: &Definition, to: &Definition) -> bool {
    let refused = |definition| profile.admit(&shape(definition)).err().unwrap_or_default();
    let before = refused(from);
    refused(to).iter().all(|refusal| before.contains(refusal))
}
