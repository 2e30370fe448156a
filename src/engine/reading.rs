//! Queries: what is asked and changes nothing is read beside the engine, from a snapshot.

use crate::domain::id::AccountNo;
use crate::domain::words::{Query, Refusal, Reply};
use crate::domain::{self, Scene};
use crate::engine::{Exchange, unreadable};
use crate::limits::SHORT_READ_COUNT;

impl Exchange {
    /// What is read at once; other queries are given back.
    pub(super) fn read(
        &self,
        account: AccountNo,
        query: Query,
    ) -> Result<Result<Reply, Refusal>, Query> {
        let is_short = match &query {
            Query::History { range, .. } => range.count <= SHORT_READ_COUNT,
            Query::Contacts { count, .. } | Query::Rewind { count, .. } => {
                *count <= SHORT_READ_COUNT
            }
            Query::Page { count, .. } | Query::Notices { count, .. } => *count <= SHORT_READ_COUNT,
            Query::Profile { .. } | Query::Name { .. } | Query::Myself => true,
            // They count members.
            Query::Chat { .. } | Query::Spaces { .. } | Query::Rosters { .. } => false,
            // Everybody is looked at, or a search goes its own way.
            Query::People { .. } | Query::Search { .. } => false,
        };
        if is_short { Ok(self.reading(account, query)()) } else { Err(query) }
    }

    /// What takes longer is read on a thread of the blocking pool, of which there are so many.
    pub(super) async fn query(&self, account: AccountNo, query: Query) -> Result<Reply, Refusal> {
        if let Query::Search { text, chat, before, count } = query {
            let reader = self.core.reader.clone();
            let _turn = self.core.searches.acquire().await;
            let _permit = self.core.long_reads.acquire().await;
            let search = move || domain::search(&reader, account, &text, chat, before, count);
            return smol::unblock(search).await.unwrap_or_else(|error| Err(unreadable(&error)));
        }
        let reading = self.reading(account, query);
        let _permit = self.core.long_reads.acquire().await;
        smol::unblock(reading).await
    }

    fn reading(
        &self,
        account: AccountNo,
        query: Query,
    ) -> impl FnOnce() -> Result<Reply, Refusal> + Send + use<> {
        let config = self.core.config();
        let reader = self.core.reader.clone();
        let now = self.core.times().now;
        let here = self.core.here.clone();
        move || {
            let scene = Scene { now, home: &config.server_name, here: &*here };
            reader
                .read(|snapshot| domain::read(snapshot, &scene, account, &query))
                .unwrap_or_else(|error| Err(unreadable(&error)))
        }
    }
}
