//! Large objects in parts, side by side: none of it is seen before all of it is there.
//!
//! Parts that a killed process leaves behind are no object; a bucket's lifecycle rule
//! (`AbortIncompleteMultipartUpload`) takes them away.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error, ObjectStore, PutMultipartOptions, PutPayload};

/// Bytes of a part. All but the last are of one size: some servers ask for it (Cloudflare R2), and all want 5 MiB at
/// least and 10,000 parts at most.
pub(super) const PART_BYTES: usize = 16 << 20;
/// Parts on their way at the same time.
const PARTS_SENT_MAX: usize = 4;

/// Cuts `content` into parts of `part_bytes` without copying it.
fn cut(content: Vec<Bytes>, part_bytes: usize) -> Vec<Vec<Bytes>> {
    let mut parts = Vec::new();
    let (mut part, mut room) = (Vec::new(), part_bytes);
    for mut bytes in content {
        while !bytes.is_empty() {
            let piece = bytes.split_to(room.min(bytes.len()));
            room -= piece.len();
            part.push(piece);
            if room == 0 {
                parts.push(std::mem::take(&mut part));
                room = part_bytes;
            }
        }
    }
    parts.extend((!part.is_empty()).then_some(part));
    parts
}

/// Writes an object in parts, over whatever has its key.
///
/// # Errors
/// What the server said first; the parts that it has are given up.
pub(super) async fn put(
    store: &dyn ObjectStore,
    path: &Path,
    content: Vec<Bytes>,
    part_bytes: usize,
    options: PutMultipartOptions,
) -> Result<(), Error> {
    let mut upload = store.put_multipart_opts(path, options).await?;
    let parts = cut(content, part_bytes).into_iter();
    // The order in which parts are begun numbers them.
    let sent: Vec<_> = parts.map(|part| upload.put_part(PutPayload::from_iter(part))).collect();
    let sent = stream::iter(sent).buffer_unordered(PARTS_SENT_MAX).try_collect::<Vec<()>>().await;
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

    use super::*;

    #[tokio::test]
    async fn parts_become_the_object() {
        let (store, path) = (InMemory::new(), Path::from("a/b"));
        let bytes: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
        let content = bytes.chunks(7001).map(Bytes::copy_from_slice).collect();
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
            let parts: Vec<_> =
                cut(content.clone(), part_bytes).into_iter().map(|part| part.concat()).collect();
            prop_assert_eq!(parts.concat(), content.concat());
            if let Some((last, others)) = parts.split_last() {
                prop_assert!(others.iter().all(|part| part.len() == part_bytes));
                prop_assert!(!last.is_empty() && last.len() <= part_bytes);
            }
        }
    }
}
