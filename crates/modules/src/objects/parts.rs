//! Large objects in parts, side by side: none of it is seen before all of it is there.
//!
//! Parts that a killed process leaves behind are no object; a bucket's lifecycle rule
//! (`AbortIncompleteMultipartUpload`) takes them away.

use std::io;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error, ObjectStore, PutMultipartOptions, PutPayload};

use super::Piece;

/// Bytes of a part. All but the last are of one size: some servers ask for it (Cloudflare R2), and all want 5 MiB at
/// least and 10,000 parts at most.
pub(super) const PART_BYTES: usize = 16 << 20;
/// Parts on their way at the same time.
const PARTS_SENT_MAX: usize = 4;
/// Bytes of a packed content that are unpacked at the same time: parts on their way, and the one that is made.
pub(crate) const UNPACKED_BYTES_MAX: usize = (PARTS_SENT_MAX + 1) * PART_BYTES;

/// Parts of `part_bytes` of a content, not copied, and not unpacked before it is their turn.
struct Parts {
    content: std::vec::IntoIter<Piece>,
    /// What is left of the last piece.
    rest: Bytes,
    part_bytes: usize,
}

impl Parts {
    fn of(content: Vec<Piece>, part_bytes: usize) -> Self {
        Self { content: content.into_iter(), rest: Bytes::new(), part_bytes }
    }
}

impl Iterator for Parts {
    type Item = io::Result<Vec<Bytes>>;

    fn next(&mut self) -> Option<Self::Item> {
        let (mut part, mut room) = (Vec::new(), self.part_bytes);
        while room > 0 {
            if self.rest.is_empty() {
                let Some(piece) = self.content.next() else { break };
                match piece.unpacked() {
                    Ok(bytes) => self.rest = bytes,
                    Err(error) => return Some(Err(error)),
                }
                continue;
            }
            let piece = self.rest.split_to(room.min(self.rest.len()));
            room -= piece.len();
            part.push(piece);
        }
        (!part.is_empty()).then_some(Ok(part))
    }
}

/// Writes an object in parts, over whatever has its key.
///
/// # Errors
/// What the server said first; the parts that it has are given up.
pub(super) async fn put(
    store: &dyn ObjectStore,
    path: &Path,
    content: Vec<Piece>,
    part_bytes: usize,
    options: PutMultipartOptions,
) -> Result<(), Error> {
    let mut upload = store.put_multipart_opts(path, options).await?;
    // The order in which parts are begun numbers them.
    let begun = Parts::of(content, part_bytes).map(|part| {
        let sent = part.map(|part| upload.put_part(PutPayload::from_iter(part)));
        async move {
            match sent {
                Ok(sent) => sent.await,
                Err(error) => Err(Error::Generic { store: "held", source: Box::new(error) }),
            }
        }
    });
    let sent = stream::iter(begun).buffer_unordered(PARTS_SENT_MAX).try_collect::<Vec<()>>().await;
    let done = match sent {
        Ok(_) => upload.complete().await.map(|_| ()),
        Err(error) => Err(error),
    };
    if done.is_err() {
        // What the server said first is what counts; what is left over is taken away by the bucket's rule.
        let _ = upload.abort().await;
    }
    done
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;
    use proptest::prelude::*;

    use super::super::piece::Holder;
    use super::*;

    #[tokio::test]
    async fn parts_become_the_object() {
        let mut holder = Holder::new();
        let (store, path) = (InMemory::new(), Path::from("a/b"));
        let bytes: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
        let content = bytes.chunks(7001).map(|bytes| holder.hold(bytes)).collect();
        put(&store, &path, content, 1 << 13, PutMultipartOptions::default()).await.unwrap();
        let read = store.get(&path).await.unwrap().bytes().await.unwrap();
        assert!(read == bytes);
    }

    proptest! {
        #[test]
        fn all_parts_but_the_last_are_of_one_size(
            lengths in prop::collection::vec(0usize..50, 0..20), part_bytes in 1usize..64,
        ) {
            let content: Vec<_> =
                (0..).zip(&lengths).map(|(n, &length)| Bytes::from(vec![n; length])).collect();
            let pieces = content.iter().cloned().map(Piece::Plain).collect();
            let parts: Vec<_> =
                Parts::of(pieces, part_bytes).map(|part| part.unwrap().concat()).collect();
            prop_assert_eq!(parts.concat(), content.concat());
            if let Some((last, others)) = parts.split_last() {
                prop_assert!(others.iter().all(|part| part.len() == part_bytes));
                prop_assert!(!last.is_empty() && last.len() <= part_bytes);
            }
        }
    }
}
