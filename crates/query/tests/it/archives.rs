//! An archive in a folder, and the answers of statements over it.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use baikonur_query::{
    Archive, ArchiveStore, Engine, Figures, Flow, Options, QueryError, Sink, Value, Wanted,
};
use object_store::local::LocalFileSystem;
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A folder with objects.
pub(crate) struct Folder {
    folder: TempDir,
    runtime: Runtime,
    pub(crate) skip_damaged: bool,
    pub(crate) time_field: &'static str,
    told: Arc<Mutex<Vec<String>>>,
}

/// What a statement gave.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) names: Vec<String>,
    pub(crate) rows: Vec<Vec<Json>>,
    pub(crate) figures: Figures,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            runtime: Runtime::new().unwrap(),
            skip_damaged: false,
            time_field: "time",
            told: Arc::default(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn put(&self, key: &str, bytes: &[u8]) {
        let path = self.path().join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Lines, compressed as the key says.
    pub(crate) fn put_lines(&self, key: &str, lines: &[String]) {
        self.put(key, &stored(key, lines));
    }

    pub(crate) fn list(&self, wanted: Wanted<'_>) -> Archive {
        let prefix = object_store::path::Path::from_absolute_path(self.path()).unwrap();
        let store = ArchiveStore::new(
            Arc::new(LocalFileSystem::new()),
            prefix,
            "file://archive",
            self.runtime.handle().clone(),
        );
        Archive::list(store, wanted, &|_| ()).unwrap()
    }

    pub(crate) fn ask(&self, statement: &str) -> Result<Answer, QueryError> {
        let archive = self.list(Wanted::NamedIn(statement));
        let told = Arc::clone(&self.told);
        let options = Options {
            skip_damaged: self.skip_damaged,
            time_field: self.time_field.to_owned(),
            tell: Arc::new(move |error| told.lock().unwrap().push(error.to_string())),
        };
        let engine = Engine::open(&archive, statement, options)?;
        let mut rows = Rows::default();
        engine.run(statement, &mut rows)?;
        let figures = engine.progress().figures();
        Ok(Answer { names: rows.names, rows: rows.rows, figures })
    }

    pub(crate) fn rows(&self, statement: &str) -> Vec<Vec<Json>> {
        self.ask(statement).unwrap_or_else(|error| panic!("{statement}: {error}")).rows
    }

    /// What was passed over.
    pub(crate) fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

pub(crate) fn stored(key: &str, lines: &[String]) -> Vec<u8> {
    let text: Vec<u8> = lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect();
    match key.rsplit('.').next().unwrap() {
        "gz" => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&text).unwrap();
            encoder.finish().unwrap()
        }
        "zst" => zstd::encode_all(&*text, 1).unwrap(),
        "sz" => {
            let mut encoder = snap::write::FrameEncoder::new(Vec::new());
            encoder.write_all(&text).unwrap();
            encoder.into_inner().unwrap()
        }
        _ => text,
    }
}

#[derive(Default)]
struct Rows {
    names: Vec<String>,
    rows: Vec<Vec<Json>>,
}

impl Sink for Rows {
    fn columns(&mut self, names: &[String]) -> io::Result<()> {
        self.names = names.to_vec();
        Ok(())
    }

    fn row(&mut self, values: &[Value<'_>]) -> io::Result<Flow> {
        let values = values.iter().map(|value| match *value {
            Value::Null => Json::Null,
            Value::Integer(number) => number.into(),
            Value::Real(number) => number.into(),
            Value::Text(text) => text.into(),
            Value::Blob(bytes) => Json::Array(bytes.iter().map(|&byte| byte.into()).collect()),
        });
        self.rows.push(values.collect());
        Ok(Flow::More)
    }
}
