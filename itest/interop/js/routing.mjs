// Helia's client of delegated routing, for the tests in the folder above: it knows
// the URL of a node, and nothing else. It asks all that there is to ask, and
// prints one line of JSON with what it was told. Bytes are in base64.
//
// Usage: node routing.mjs URL CID PEER NAME [RECORD]
//
// CID is a content, PEER a peer ID as a CID, NAME an IPNS name as a CID. With
// RECORD, it publishes that under the name first.

// Node 20 lacks this, and libp2p uses it.
Promise.withResolvers ??= function () {
  const deferred = {}
  deferred.promise = new this((resolve, reject) => Object.assign(deferred, { resolve, reject }))
  return deferred
}

// Only now: imports that are not dynamic run before everything else.
const { delegatedRoutingV1HttpApiClient } = await import('@helia/delegated-routing-v1-http-api-client')
const { defaultLogger } = await import('@libp2p/logger')
const { peerIdFromCID } = await import('@libp2p/peer-id')
const { CID } = await import('multiformats/cid')

const [url, content, peer, name, record] = process.argv.slice(2)
const client = delegatedRoutingV1HttpApiClient({ url })({ logger: defaultLogger() })
await client.start()

// all returns the peers that a question yields.
async function all (peers) {
  const found = []
  for await (const p of peers) {
    found.push({ id: peerIdFromCID(p.ID).toString(), addrs: p.Addrs.map(String) })
  }
  return found
}

const told = {}
try {
  told.providers = await all(client.getProviders(CID.parse(content)))
  told.peers = await all(client.getPeers(CID.parse(peer)))
  told.closest = await all(client.getClosestPeers(CID.parse(peer)))
  if (record != null) {
    await client.putIPNS(CID.parse(name), Buffer.from(record, 'base64'))
  }
  told.record = Buffer.from(await client.getIPNS(CID.parse(name))).toString('base64')
} catch (err) {
  told.error = String(err)
}
await client.stop()
console.log(JSON.stringify(told))
