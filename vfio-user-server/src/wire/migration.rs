//! MIG_DATA_READ and MIG_DATA_WRITE.

use super::WireError;
use super::bytes::{Put, Reader, check_argsz, fixed};

const HEAD_SIZE: usize = 8;

/// The fixed part of MIG_DATA_READ and MIG_DATA_WRITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigrationBody {
    /// Bytes of state to read or written.
    pub size: u32,
}

impl MigrationBody {
    /// Reads the body of a MIG_DATA_READ; `max_xfer` bounds what it may ask for.
    ///
    /// # Errors
    /// Short bodies, a `size` above `max_xfer`, an `argsz` below the reply's size.
    pub fn read(body: &[u8], max_xfer: u32) -> Result<Self, WireError> {
        let (head, _) = fixed::<HEAD_SIZE>(body)?;
        let mut reader = Reader::new(head);
        let (argsz, size) = (reader.u32(), reader.u32());
        check_size(size, max_xfer)?;
        check_argsz(
            argsz,
            HEAD_SIZE as u64 + u64::from(size),
            u64::from(u32::MAX),
        )?;
        Ok(Self { size })
    }

    /// Reads the body of a MIG_DATA_WRITE; the data is as long as `size` says.
    ///
    /// # Errors
    /// Short bodies, a `size` above `max_xfer`, data that is longer or shorter than `size`.
    pub fn write(body: &[u8], max_xfer: u32) -> Result<(Self, &[u8]), WireError> {
        let (head, data) = fixed::<HEAD_SIZE>(body)?;
        let mut reader = Reader::new(head);
        let (argsz, size) = (reader.u32(), reader.u32());
        check_size(size, max_xfer)?;
        check_argsz(argsz, HEAD_SIZE as u64, u64::from(u32::MAX))?;
        if data.len() as u64 != u64::from(size) {
            return Err(WireError::Length {
                want: HEAD_SIZE as u64 + u64::from(size),
                have: body.len(),
            });
        }
        Ok((Self { size }, data))
    }

    /// The body of the reply to a MIG_DATA_READ.
    pub fn reply(data: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_SIZE + data.len());
        out.put32(u32::try_from(HEAD_SIZE + data.len()).unwrap_or(u32::MAX));
        out.put32(u32::try_from(data.len()).unwrap_or(u32::MAX));
        out.extend_from_slice(data);
        out
    }
}

fn check_size(size: u32, max_xfer: u32) -> Result<(), WireError> {
    if size > max_xfer {
        return Err(WireError::TooMany {
            field: "size",
            value: u64::from(size),
            limit: u64::from(max_xfer),
        });
    }
    Ok(())
}
