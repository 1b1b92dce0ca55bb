/**
 * What the autoscalers ask for: metrics and labels that the program exports, that something scrapes, and that the
 * Prometheus adapter brings to the Kubernetes API under the name they are asked by.
 */

import { parse } from 'yaml';
import { isLabelValue, metricLabels } from './known-names.ts';
import type { Manifest } from './kustomize.ts';
import type { Selector, Tell } from './pods.ts';

interface MetricName {
  readonly name: string;
  readonly selector?: Selector;
}
interface Metric {
  readonly pods?: { readonly metric: MetricName };
  readonly external?: { readonly metric: MetricName };
}
interface Scaler {
  readonly scaleTargetRef: { readonly kind: string; readonly name: string };
  readonly minReplicas: number;
  readonly maxReplicas: number;
  readonly metrics: readonly Metric[];
}
interface Rule {
  readonly seriesQuery: string;
  readonly resources: { readonly overrides: Readonly<Record<string, unknown>> };
  readonly name: { readonly matches: string; readonly as: string };
  readonly metricsQuery: string;
}
type Kind = 'custom' | 'external';
export type AdapterRules = Readonly<Record<Kind, readonly Rule[]>>;

export const adapterRules = (text: string): AdapterRules => (parse(text) as { rules: AdapterRules }).rules;

export function checkScaling(
  { spec }: Manifest,
  objects: readonly Manifest[],
  adapter: AdapterRules,
  tell: Tell,
): void {
  const { scaleTargetRef, minReplicas, maxReplicas, metrics } = spec as unknown as Scaler;
  if (minReplicas > maxReplicas) tell(`has at least ${minReplicas} and at most ${maxReplicas}`);
  const target = objects.find(
    ({ kind, metadata }) => kind === scaleTargetRef.kind && metadata.name === scaleTargetRef.name,
  );
  if (target === undefined) return void tell(`there is no ${scaleTargetRef.kind} ${scaleTargetRef.name}`);
  if ((target.spec as { replicas?: number }).replicas !== undefined) tell('and its Deployment both set replicas');
  for (const { pods, external } of metrics) {
    if (pods !== undefined) checkMetric(pods.metric, adapter.custom, tell);
    if (external !== undefined) checkMetric(external.metric, adapter.external, tell);
  }
}

function checkMetric({ name, selector = {} }: MetricName, rules: readonly Rule[], tell: Tell): void {
  const labels = metricLabels(name);
  if (labels === undefined) return void tell(`there is no metric ${name}`);
  if (!rules.some((rule) => rule.name.as === name)) tell(`the adapter has no rule for ${name}`);
  for (const [label, value] of Object.entries(selector.matchLabels ?? {}))
    if (!labels.includes(label)) tell(`metric ${name} has no label ${label}`);
    else if (!isLabelValue(label, value)) tell(`metric ${name} has no ${label} ${value}`);
}

/** The series that the adapter looks for are the program's, told apart by labels that they or the scraping gives them. */
export function adapterProblems(rules: AdapterRules): string[] {
  const ungrouped = rules.custom.filter(({ metricsQuery }) => !metricsQuery.endsWith(' by (<<.GroupBy>>)'));
  return [...rules.custom, ...rules.external].flatMap(({ seriesQuery, resources, name, metricsQuery }) => {
    const problems: string[] = [];
    const tell: Tell = (problem) => problems.push(`k8s/prometheus-adapter.yaml: ${problem}`);
    const series = seriesQuery.split('{')[0]!;
    const labels = metricLabels(series);
    if (labels === undefined) return [`k8s/prometheus-adapter.yaml: there is no metric ${series}`];
    if (name.matches !== series) tell(`${name.matches} is not ${series}`);
    const scraped = Object.keys(resources.overrides);
    for (const label of scraped) if (!seriesQuery.includes(`${label}!=""`)) tell(`${series} may be without ${label}`);
    for (const [, list] of metricsQuery.matchAll(/by \(([^)]*)\)/g))
      for (const label of list!.split(',').map((word) => word.trim()))
        if (label !== '<<.GroupBy>>' && !labels.includes(label) && !scraped.includes(label))
          tell(`${series} has no label ${label}`);
    if (!metricsQuery.includes('<<.Series>>{<<.LabelMatchers>>}')) tell(`${series} is asked without its labels`);
    // Of a pod's own figure one value for each pod is wanted.
    if (ungrouped.some((rule) => rule.seriesQuery === seriesQuery)) tell(`${series} is not told by pod`);
    return problems;
  });
}
