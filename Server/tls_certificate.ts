import { createPublicKey, hash, type KeyObject, randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';

const DAY_MS = 86_400_000;
/** How long a certificate is good for. Driftless clients look at its key alone; browsers want no more than 398 days. */
export const CERTIFICATE_MS = 397 * DAY_MS;
const BACKDATED_MS = DAY_MS; // for clocks that are behind

/**
 * A certificate that its own key signs: for that key, these names, from now on.
 * @param key ECDSA P-256
 * @param names host names and addresses, for who compares them
 * @returns PEM
 */
export async function makeCertificate(input: { key: KeyObject; names: readonly string[]; atMs: number }): Promise<string> {
  // Loaded when one is made, which is once in ten months: it takes longer to load than the rest of a start.
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  const { key, names, atMs } = input;
  const curve = { name: 'ECDSA', namedCurve: 'P-256' };
  const pkcs8 = key.export({ format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const keys = {
    privateKey: await webcrypto.subtle.importKey('pkcs8', pkcs8, curve, true, ['sign']),
    publicKey: await webcrypto.subtle.importKey('spki', spki, curve, true, ['verify']),
  };
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: `01${randomBytes(15).toString('hex')}`,
    name: `CN=Driftless ${hash('sha256', spki).slice(0, 8)}`, // what looks for an issuer goes by the name alone, so each key has its own
    notBefore: new Date(atMs - BACKDATED_MS),
    notAfter: new Date(atMs + CERTIFICATE_MS),
    keys,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value }))),
    ],
  });
  return `${certificate.toString('pem')}\n`;
}
