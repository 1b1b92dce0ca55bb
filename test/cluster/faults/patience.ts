/** Limits hold on two cores that do nothing else; FAULT_PATIENCE=3 lets things take three times as long on other machines. */

const FACTOR = Number(process.env.FAULT_PATIENCE ?? 1);

/** @param ms what it may take where nothing else runs */
export const patiently = (ms: number): number => ms * FACTOR;
