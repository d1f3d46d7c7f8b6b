//! What an object holds, by the end of its key.

/// How lines are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Plain,
    Gzip,
    Zstd,
    /// The framing format of Snappy, or the blocks of Hadoop's codec.
    Snappy,
}

/// What an object holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON object a line.
    Lines(Codec),
    Parquet,
}

impl Format {
    /// None for an object that is none of an archive: a marker, a manifest, somebody's notes.
    pub(crate) fn of(key: &str) -> Option<Self> {
        let name = key.rsplit('/').next()?;
        // What tools like Spark put beside their data.
        if name.starts_with(['.', '_']) {
            return None;
        }
        let end = name.rsplit_once('.')?.1.to_ascii_lowercase();
        Some(match end.as_str() {
            "json" | "jsonl" | "ndjson" | "log" => Self::Lines(Codec::Plain),
            "gz" | "gzip" => Self::Lines(Codec::Gzip),
            "zst" | "zstd" => Self::Lines(Codec::Zstd),
            "sz" | "snappy" => Self::Lines(Codec::Snappy),
            "parquet" => Self::Parquet,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_known_by_the_end_of_its_key() {
        let lines = |codec| Some(Format::Lines(codec));
        for (key, format) in [
            ("a/2015-05/17/2015-05-17-10:05:03-x.gz", lines(Codec::Gzip)),
            ("a/x.json.gz", lines(Codec::Gzip)),
            ("a/x.ndjson", lines(Codec::Plain)),
            ("a/x.JSON", lines(Codec::Plain)),
            ("a/x.log.zst", lines(Codec::Zstd)),
            ("a/x.json.sz", lines(Codec::Snappy)),
            ("a/x.snappy.parquet", Some(Format::Parquet)),
            ("a/_SUCCESS", None),
            ("a/.x.gz", None),
            ("a/_metadata.json", None),
            ("a/gz", None),
            ("a/README.md", None),
        ] {
            assert_eq!(Format::of(key), format, "{key}");
        }
    }
}
