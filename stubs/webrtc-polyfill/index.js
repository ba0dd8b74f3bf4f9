/** Refuses to exist: nothing in Sealift opens a WebRTC connection, so reaching this is a bug. */
class Unavailable {
  constructor() {
    throw new Error('WebRTC is not part of Sealift: peers speak mutual TLS only');
  }
}

export { Unavailable as RTCIceCandidate, Unavailable as RTCPeerConnection, Unavailable as RTCSessionDescription };

export default {};
