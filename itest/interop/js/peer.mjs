// A JavaScript peer for the tests in the folder above.
//
// It starts a libp2p node with a DHT, prints one line of JSON that says who and
// where it is, and then reads commands from standard input: one line of JSON
// each, answered by one line of JSON each, in order. Bytes are in base64. It
// ends with the command stop, or when standard input does.
//
// Usage: node peer.mjs server|client

import { createInterface } from 'node:readline'

// Node 20 lacks this, and libp2p uses it.
Promise.withResolvers ??= function () {
  const deferred = {}
  deferred.promise = new this((resolve, reject) => Object.assign(deferred, { resolve, reject }))
  return deferred
}

// Only now: imports that are not dynamic run before everything else.
const { noise } = await import('@libp2p/noise')
const { yamux } = await import('@libp2p/yamux')
const { identify } = await import('@libp2p/identify')
const { kadDHT, passthroughMapper } = await import('@libp2p/kad-dht')
const { peerIdFromString } = await import('@libp2p/peer-id')
const { ping } = await import('@libp2p/ping')
const { tcp } = await import('@libp2p/tcp')
const { multiaddr } = await import('@multiformats/multiaddr')
const { createLibp2p } = await import('libp2p')
const { CID } = await import('multiformats/cid')

// How long a command may take.
const patience = 20_000

const compare = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))

const node = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  // All peers of a test share one address: the default refuses most of them.
  connectionManager: { inboundConnectionThreshold: 1000 },
  services: {
    identify: identify(),
    ping: ping(),
    dht: kadDHT({
      protocol: '/interop/kad/1.0.0',
      clientMode: process.argv[2] === 'client',
      // The default drops loopback addresses.
      peerInfoMapper: passthroughMapper,
      // Queries wait for the first one, which waits for the first peer.
      initialQuerySelfInterval: 0,
      // As in the Go tests: anything but "bad" goes, the greatest value wins.
      validators: {
        v: async (_, value) => {
          if (Buffer.from(value).toString() === 'bad') {
            throw new Error('bad value')
          }
        }
      },
      selectors: {
        v: (_, values) => values.reduce((best, v, i) => compare(v, values[best]) > 0 ? i : best, 0)
      }
    })
  }
})
const dht = node.services.dht

// Peers for which something has happened, and those who wait for it to happen.
class Seen {
  #ids = new Set()
  #waiting = new Map()

  add (id) {
    this.#ids.add(id.toString())
    this.#waiting.get(id.toString())?.resolve()
  }

  delete (id) {
    this.#ids.delete(id.toString())
    this.#waiting.delete(id.toString())
  }

  async wait (id, { signal }) {
    if (this.#ids.has(id)) {
      return
    }
    const happened = Promise.withResolvers()
    this.#waiting.set(id, happened)
    signal.addEventListener('abort', () => happened.reject(signal.reason))
    await happened.promise
  }
}

const admitted = new Seen()
dht.routingTable.addEventListener('peer:add', ({ detail: id }) => admitted.add(id))
dht.routingTable.addEventListener('peer:remove', ({ detail: id }) => admitted.delete(id))

const identified = new Seen()
node.addEventListener('peer:identify', ({ detail: { peerId } }) => identified.add(peerId))

const bytes = (base64) => Uint8Array.from(Buffer.from(base64, 'base64'))
const base64 = (bytes) => Buffer.from(bytes).toString('base64')
const info = ({ id, multiaddrs }) => ({ id: id.toString(), addrs: multiaddrs.map(String) })

// Collects what pick makes of the events of a query, without undefined.
async function collect (events, pick) {
  const picked = []
  for await (const event of events) {
    picked.push(...[pick(event) ?? []].flat())
  }
  return picked
}

// The peer that answered with a record, if event says that.
function givenBy (event, messageName) {
  if (event.name === 'PEER_RESPONSE' && event.messageName === messageName && event.record != null) {
    return { id: event.from.toString(), addrs: [] }
  }
}

const commands = {
  // Waits also until the peer has said what it speaks and where it listens.
  connect: async ({ addrs }, options) => {
    const connection = await node.dial(addrs.map((addr) => multiaddr(addr)), options)
    await identified.wait(connection.remotePeer.toString(), options)
  },

  // Waits until a peer is in the routing table.
  admitted: async ({ id }, options) => {
    await admitted.wait(id, options)
  },

  // Answers with the peers that stored the value.
  put: async ({ key, value }, options) => ({
    peers: await collect(dht.put(bytes(key), bytes(value), options), (event) => givenBy(event, 'PUT_VALUE'))
  }),

  // Answers with the best value, and the peers that gave one.
  get: async ({ key }, options) => {
    const values = []
    const peers = await collect(dht.get(bytes(key), options), (event) => {
      if (event.name === 'VALUE') {
        values.push(event.value)
      }
      return givenBy(event, 'GET_VALUE')
    })
    if (values.length === 0) {
      throw new Error('no value')
    }
    return { value: base64(values.at(-1)), peers }
  },

  provide: async ({ cid }, options) => {
    await collect(dht.provide(CID.parse(cid), options), () => undefined)
  },

  findProviders: async ({ cid }, options) => ({
    peers: await collect(dht.findProviders(CID.parse(cid), options), (event) => {
      return event.name === 'PROVIDER' ? event.providers.map(info) : undefined
    })
  }),

  // Asks others, also if it knows the peer itself.
  findPeer: async ({ id }, options) => ({
    peers: await collect(dht.findPeer(peerIdFromString(id), { ...options, useCache: false }), (event) => {
      return event.name === 'FINAL_PEER' ? info(event.peer) : undefined
    })
  }),

  closest: async ({ key }, options) => ({
    peers: await collect(dht.getClosestPeers(bytes(key), options), (event) => {
      return event.name === 'FINAL_PEER' ? info(event.peer) : undefined
    })
  }),

  stop: async () => {
    await node.stop()
  }
}

function say (line) {
  process.stdout.write(JSON.stringify(line) + '\n')
}

say({ id: node.peerId.toString(), addrs: node.getMultiaddrs().map(String) })
for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...args } = JSON.parse(line)
  try {
    const answer = await commands[command](args, { signal: AbortSignal.timeout(patience) })
    say({ ...answer })
  } catch (err) {
    say({ error: `${command}: ${err.name}: ${err.message}` })
  }
  if (command === 'stop') {
    break
  }
}
process.exit(0)
