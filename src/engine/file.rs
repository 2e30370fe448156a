//! Files: read and written on the blocking pool, a few slices at once, never by the engine itself.

use std::sync::Arc;

use crate::domain::words::{Actor, Refusal, Reply};
use crate::engine::Exchange;
use crate::wire::FileAsk;

impl Exchange {
    pub(super) async fn file(&self, actor: Actor, ask: FileAsk) -> Result<Reply, Refusal> {
        let Actor::Session { account, .. } = actor else { return Err(Refusal::NoSession) };
        let config = self.core.config();
        let files = self.core.files.clone();
        let at = self.core.times().sure;
        let work = move || match ask {
            FileAsk::Begin { size } => {
                files.begin(account, size, &config.limits, at).map(Reply::Upload)
            }
            FileAsk::Write { upload, bytes } => {
                upload.write(&bytes).map(|is_last| Reply::Received { more: !is_last })
            }
            FileAsk::Finish { upload, name } => {
                upload.finish(&name).map(|stored| Reply::Stored(Box::new(stored)))
            }
            FileAsk::Read { key, offset } => {
                let bytes = files.read(key, offset, &config.limits, at)?;
                Ok(Reply::Bytes(Arc::from(bytes)))
            }
        };
        let _turn = self.core.file_work.acquire().await;
        smol::unblock(work).await
    }
}
