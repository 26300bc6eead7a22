/** Which addresses belong to the public internet, and what is a host. */
import { isIP } from "node:net"
import { networkInterfaces } from "node:os"
import ip from "ipaddr.js"

export type Address = ip.IPv4 | ip.IPv6

/** Answers to every machine in Azure, and to no other: its metadata and agent server, at an address that looks public. */
const azure = "168.63.129.16"

/** All that IANA has given out as global unicast lies here (RFC 4291, 2.4). */
const globalUnicast = ip.IPv6.parseCIDR("2000::/3")

/** The prefix under which a translator (NAT64) reaches IPv4 addresses: RFC 6052, 2.1. */
const nat64 = ip.IPv6.parseCIDR("64:ff9b::/96")

/** An address in its simplest form: the IPv4 one that an IPv6 one stands for, no zone. Undefined if it is not one. */
export const addressOf = (text: string): Address | undefined => {
  if (isIP(text) === 0) return undefined
  const address = ip.process(text)
  if (address.kind() === "ipv6" && address instanceof ip.IPv6) {
    if (address.zoneId !== undefined) return undefined
    if (address.match(nat64)) return new ip.IPv4(address.toByteArray().slice(12))
  }
  return address
}

/** The same text for the same address. */
export const textOf = (address: Address): string => address.toString()

export const isLoopback = (address: Address): boolean => address.range() === "loopback"

/** Addresses that this machine answers to: what listens there may be meant for its own programs. */
const isOwn = (address: Address): boolean =>
  Object.values(networkInterfaces()).some((list = []) =>
    list.some((one) => one.address.split("%", 1)[0] === textOf(address))
  )

/** True for an address that anybody on the internet could reach, and that is not this machine. */
export const isPublic = (address: Address): boolean =>
  address.range() === "unicast" &&
  (address instanceof ip.IPv4 ? textOf(address) !== azure : address.match(globalUnicast)) &&
  !isOwn(address)

/**
 * A host as it is compared: lower case, punycode, no trailing dot, addresses in every spelling (hexadecimal, octal, short)
 * as one (WHATWG URL, host parsing). Undefined if it is none.
 */
export const canonical = (host: string): string | undefined => {
  if (/[\s/?#@\\]/.test(host)) return undefined
  const url = URL.parse(`http://${isIP(host) === 6 ? `[${host}]` : host}`)
  if (url === null || url.port !== "") return undefined
  const name = url.hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "")
  const address = addressOf(name)
  if (address !== undefined) return textOf(address)
  return name === "" || name.endsWith(".") || name.includes(":") ? undefined : name
}
