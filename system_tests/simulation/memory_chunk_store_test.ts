import { chunkStoreContract } from '../../Storage/testing/chunk_store_contract.ts';
import { MemoryPacks, memoryChunkStore } from './memory_chunk_store.ts';

chunkStoreContract('chunks in memory', async () => {
  const packs = new MemoryPacks();
  return { store: memoryChunkStore(packs), reopen: async () => memoryChunkStore(packs) };
});
