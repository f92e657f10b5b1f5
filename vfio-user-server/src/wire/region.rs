//! REGION_READ, REGION_WRITE and REGION_WRITE_MULTI.

use super::WireError;
use super::bytes::{Put, Reader, fixed};
use crate::limits;

const ACCESS_SIZE: usize = 16;
const MULTI_ENTRY_SIZE: usize = 24;

/// The fixed part of REGION_READ and REGION_WRITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionAccessBody {
    /// Bytes from the region's start.
    pub offset: u64,
    /// Index of the region.
    pub region: u32,
    /// Bytes to transfer.
    pub count: u32,
}

impl RegionAccessBody {
    fn take(head: &[u8]) -> Self {
        let mut reader = Reader::new(head);
        let (offset, region, count) = (reader.u64(), reader.u32(), reader.u32());
        Self {
            offset,
            region,
            count,
        }
    }

    /// Reads the body of a REGION_READ.
    ///
    /// # Errors
    /// If it is short.
    pub fn read(body: &[u8]) -> Result<Self, WireError> {
        let (head, _) = fixed::<ACCESS_SIZE>(body)?;
        Ok(Self::take(head))
    }

    /// Reads the body of a REGION_WRITE; the data is as long as `count` says.
    ///
    /// # Errors
    /// If it is short, or longer or shorter than its `count`.
    pub fn write(body: &[u8]) -> Result<(Self, &[u8]), WireError> {
        let (head, data) = fixed::<ACCESS_SIZE>(body)?;
        let access = Self::take(head);
        if data.len() as u64 != u64::from(access.count) {
            return Err(WireError::Length {
                want: u64::from(access.count) + ACCESS_SIZE as u64,
                have: body.len(),
            });
        }
        Ok((access, data))
    }
}

/// The body of the reply to an access: what was accessed, and the data of a read.
pub fn region_access_reply(access: RegionAccessBody, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(ACCESS_SIZE + data.len());
    out.put64(access.offset);
    out.put32(access.region);
    out.put32(access.count);
    out.extend_from_slice(data);
    out
}

/// One write of a REGION_WRITE_MULTI: at most 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MultiWrite {
    /// Where, and how many bytes (1 to 8).
    pub access: RegionAccessBody,
    bytes: [u8; 8],
}

impl MultiWrite {
    /// The bytes to write.
    pub fn data(&self) -> &[u8] {
        self.bytes
            .get(..self.access.count as usize)
            .unwrap_or(&self.bytes)
    }
}

/// Reads the body of a REGION_WRITE_MULTI.
///
/// # Errors
/// A body that is short or not as long as its count says, more writes than
/// [`limits::MAX_MULTI_WRITES`], a write of more than 8 bytes.
pub fn multi_writes(body: &[u8]) -> Result<Vec<MultiWrite>, WireError> {
    let (head, rest) = fixed::<8>(body)?;
    let count = Reader::new(head).u64();
    if count > limits::MAX_MULTI_WRITES {
        return Err(WireError::TooMany {
            field: "wr_cnt",
            value: count,
            limit: limits::MAX_MULTI_WRITES,
        });
    }
    let want = count * MULTI_ENTRY_SIZE as u64;
    if rest.len() as u64 != want {
        return Err(WireError::Length {
            want: want + 8,
            have: body.len(),
        });
    }
    rest.chunks_exact(MULTI_ENTRY_SIZE)
        .map(|entry| {
            let (head, data) = fixed::<ACCESS_SIZE>(entry)?;
            let (bytes, _) = fixed::<8>(data)?;
            let access = RegionAccessBody::take(head);
            if access.count > 8 {
                return Err(WireError::TooMany {
                    field: "count",
                    value: u64::from(access.count),
                    limit: 8,
                });
            }
            Ok(MultiWrite {
                access,
                bytes: *bytes,
            })
        })
        .collect()
}

/// The body of the reply to a REGION_WRITE_MULTI.
pub fn multi_reply(count: u64) -> Vec<u8> {
    count.to_ne_bytes().to_vec()
}
